"""`spec.search` and the training of its trials (paper, 3.1.4, A.1.4)."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from detnas.actions import ActionOptions
from detnas.records.settings import Distillation, Resolution, Schedule, Training
from detnas.schema import Count, Flag, Fraction, Positive, Schema, added
from detnas.spec.training import Gpus, TrainingSettings

MAX_TRIALS = 10_000
"""Most trials of a search: what a process keeps in memory of it is designed for them."""

MAX_PARALLEL_TRIALS = 1000
"""Most trials in flight."""


MAX_RANDOM_PARENTS = 150
"""Most students that a random search may continue from: the ledger's snapshot holds each."""


SUBNET_PARENTS = 50
"""Best subnets that a search of the pool itself draws parents from."""


MAX_FINETUNED = 16
"""Most students that a search may fine-tune at its end."""


class Strategy(StrEnum):
    """How trials are chosen."""

    JOINT = "Joint"
    RANDOM = "Random"
    PIPELINE = "Pipeline"
    TEACHER_POOL = "TeacherPool"


class Selection(StrEnum):
    """By which score the best trials are chosen."""

    OBSERVED = "Observed"
    SHRUNK = "Shrunk"


class SearchObjective(StrEnum):
    """What the complexity C in the score H is."""

    FLOPS = "Flops"
    LATENCY = "Latency"


class Search(Schema):
    """What is tried, and for how long."""

    strategy: Strategy = Field(
        Strategy.JOINT,
        description="`Joint`: student and teacher evolve together, from the best pairs (paper, "
        "algorithm 1). `Random`, its control: the same steps from any earlier pair, whatever its "
        "score; `patience` does not end it. `Pipeline`, the alternative to both (table 5): the "
        "student's actions only, without a teacher; then `finetune` prunes the best student and "
        "distils it. `TeacherPool` (appendix F): the pool's subnets are evaluated themselves, "
        "without training, in jobs of up to 25; the first 50 at random, then mutations and "
        "crossovers of the best 50. `topK`, `warmupTrials`, `studentProbability`, `patience` and "
        "`actions` have no meaning then, nor what `evaluation` says of training.",
    )
    trials: Annotated[int, Field(ge=1, le=MAX_TRIALS, strict=True)] = Field(
        100,
        description=f"Trials after which the search ends, at most {MAX_TRIALS}; those lost to "
        "machines do not count.",
    )
    parallelism: Annotated[int, Field(ge=1, le=MAX_PARALLEL_TRIALS, strict=True)] = Field(
        1, description="Jobs of trials that run concurrently."
    )
    top_k: Annotated[int, Field(ge=1, le=50, strict=True)] = Field(
        5, description="Best pairs that may be parents with `Joint` and `Pipeline`."
    )
    warmup_trials: Count = Field(
        5, description="Trials after the first that change the teacher only."
    )
    alpha: Fraction = Field(
        Decimal("0.4"), description="Weight of complexity in the score; the paper's X101 uses 0.1."
    )
    beta: Fraction = Field(
        Decimal("0.8"), description="Weight of the resolution within the complexity."
    )
    student_probability: Annotated[Fraction, Field(le=1)] = Field(
        Decimal("0.5"),
        description="Chance that a trial evolves the student, not the teacher. With another "
        "teachers.choice than Dynamic: 0 trains the base further and further, else every trial "
        "after the warm-up evolves the student.",
    )
    patience: Positive = Field(
        40,
        description="Finished trials without a better score after which the search ends; those "
        "lost to machines do not count.",
    )
    selection: Selection = added(
        1,
        Selection.OBSERVED,
        description="By which score parents and the best trial are chosen. `Observed`: H as "
        "measured (the paper). `Shrunk`: H of an estimate of mAP, from the trial's measurement and "
        "its parent's estimate, weighted by their errors, so that a lucky measurement counts less. "
        "Results without errors, and subnets of `TeacherPool`, count as measured.",
    )
    objective: SearchObjective = added(
        1,
        SearchObjective.FLOPS,
        description="What the complexity C in the score H is. `Flops`: calculated, at the base "
        "resolution (the paper). `Latency`: the time of one image at batch 1, which each trial "
        "measures before its training, at each resolution and in turns with the base, on the kind "
        "of device that the base's job had. Trials on another device fail: select nodes with "
        "jobs.nodeSelector.",
    )
    seed: Count = Field(0, description="Seed of every random draw of the search.")
    actions: ActionOptions = Field(ActionOptions(), description="How the pruning actions work.")

    @property
    def counts_latency(self) -> bool:
        """Whether C is a latency."""
        return self.objective is SearchObjective.LATENCY

    @property
    def has_patience(self) -> bool:
        """Whether `patience` may end the search; others spend all trials whatever their scores."""
        return self.strategy in (Strategy.JOINT, Strategy.PIPELINE)

    @property
    def max_parents(self) -> int:
        """How many of the best pairs may be parents; of a random search, in effect every pair."""
        of_others = {
            Strategy.RANDOM: MAX_RANDOM_PARENTS,
            Strategy.TEACHER_POOL: SUBNET_PARENTS,
        }
        return of_others.get(self.strategy, self.top_k)


class StudentTraining(TrainingSettings):
    """A short training of a student under its teacher."""

    epochs: Count = Field(3, description="Passes over the training images.")
    learning_rate: Annotated[Fraction, Field(gt=0)] = Field(
        Decimal("0.01"), description="Initial learning rate."
    )
    batch_size: Positive = Field(4, description="Images per step of the entire job.")
    schedule: Schedule = Field(Schedule.COSINE, description="How the learning rate falls.")
    warmup_iterations: Count = Field(0, description="Steps of linear warm-up.")
    gpus: Gpus = Field(1, description="GPUs of each job, a process on each; 0 uses cores.")


class EvaluationMode(StrEnum):
    """How long a trial trains its student (paper, E)."""

    ITERATIVE = "Iterative"
    FULL = "Full"


class Evaluation(StudentTraining):
    """The fast evaluation of a trial: a short training under the teacher."""

    inherit: Flag = added(
        1,
        True,
        description="Students start with their parents' weights. If false, each starts from a new "
        "initialisation; an action still ranks by the parent's weights what it removes.",
    )
    mode: EvaluationMode = added(
        1,
        EvaluationMode.ITERATIVE,
        description="Iterative: a trial trains as stated here, and its children train further. "
        "Full: it trains as base.train states, with the learning rate of Cosine; epochs, "
        "learningRate, batchSize, schedule and warmupIterations of this section are not used.",
    )


class Upgrade(Schema):
    """What the best student gets before the fine-tuning (paper, the X101 of table 4)."""

    dcn: Annotated[
        tuple[Annotated[int, Field(ge=1, le=4, strict=True)], ...], Field(max_length=4)
    ] = Field(
        (),
        description="Stages, such as [2, 3, 4], whose 3×3 convolutions become deformable; of "
        "Bottleneck and ResNeXt students.",
    )

    cascade: Flag = Field(
        False,
        description="The box head becomes the three of Cascade R-CNN, which begin as copies of it.",
    )

    @model_validator(mode="after")
    def _upgrades(self) -> "Upgrade":
        if list(self.dcn) != sorted(set(self.dcn)):
            raise ValueError(f"dcn is {list(self.dcn)}; list each stage once, in rising order")
        if not self.dcn and not self.cascade:
            raise ValueError("it changes nothing; give dcn, cascade: true, or both")
        return self


class Finetune(StudentTraining):
    """Training of the best student under its teacher after the search (paper, D)."""

    epochs: Count = Field(16, description="Passes over the training images.")
    ema: Annotated[Fraction, Field(gt=0, lt=1)] | None = added(
        1,
        description="Decay of an exponential moving average of the weights, such as 0.9998, which "
        "is then evaluated and exported. Without it the last weights are.",
    )

    @property
    def training(self) -> Training:
        """The same as a job's schedule."""
        return super().training.model_copy(update={"ema": self.ema})

    channel_fraction: Annotated[Fraction, Field(gt=0, lt=1)] | None = added(
        1, description="Share of the prunable channels that are removed before the training."
    )
    flops_fraction: Annotated[Fraction, Field(gt=0, lt=1)] | None = added(
        1,
        description="Prune channels before the training until the FLOPs are at most this fraction "
        "of the base's.",
    )
    resolution: Resolution | None = added(
        1, description="Only size used in the training and its evaluation. Default: all sizes."
    )

    distillation: Distillation | None = added(
        1, description="Losses under its teacher. Default: those of spec.distillation."
    )

    upgrade: Upgrade | None = added(
        1,
        description="Deformable convolutions and a cascade, which the best student gets before the "
        "training. The result is exported if its mAP is higher than the student's.",
    )

    candidates: Annotated[int, Field(ge=1, le=MAX_FINETUNED, strict=True)] = added(
        1,
        1,
        description="How many students are fine-tuned, each under its own teacher: the best one, "
        "and the best of the Pareto front. The one of highest H is exported.",
    )

    @model_validator(mode="after")
    def _pruned_once(self) -> "Finetune":
        if self.channel_fraction is not None and self.flops_fraction is not None:
            raise ValueError("give either channelFraction or flopsFraction, not both")
        pruned = self.channel_fraction is not None or self.flops_fraction is not None
        if self.upgrade is not None and pruned:
            raise ValueError("give either upgrade or pruning (channelFraction, flopsFraction)")
        return self


class Retention(Schema):
    """Which trials' weights are retained in the store; results always are."""

    weights: Literal["Needed", "All"] = Field(
        "Needed",
        description="Needed: parents still possible, parents of running trials, Pareto front. "
        "Set in place of All, it applies from then on: weights of earlier trials stay.",
    )
