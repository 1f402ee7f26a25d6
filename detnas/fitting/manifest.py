"""The manifest for a data set and a machine, with the reason for each value."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from detnas.fitting import budget, sizes
from detnas.fitting.detectors import Chosen, fraction
from detnas.fitting.fit import Fit, Wishes
from detnas.fitting.yaml_text import Explained, yaml_text
from detnas.own_data.facts import DataFacts
from detnas.plan.advice import counted
from detnas.spec.manifest import API_VERSION, KIND

SCHEMA_FILE = "detnas.schema.json"
"""Written beside the manifest; editors complete and check fields by it."""


@dataclass(frozen=True)
class DataPlace:
    """Where the data set is, as `spec.dataset` names it.

    Attributes:
        manifest: name of the manifest's file.
        directory: relative to the manifest.
        annotations: file of each split, relative to the directory.
        images: folder of each split's images, likewise.
    """

    manifest: str
    directory: str
    annotations: Mapping[str, str]
    images: Mapping[str, str]


def manifest_text(found: Fit, facts: DataFacts, place: DataPlace, wishes: Wishes) -> str:
    """Return the manifest as YAML with comments."""
    spec = {
        "dataset": _dataset(facts, place, wishes),
        "resolutions": _resolutions(found, facts),
        "detector": _detector(found, facts),
        "base": _base(found, facts, wishes),
        "teachers": _teachers(found, facts),
        "search": _search(found),
        "evaluation": _evaluation(found, facts),
        "finetune": Explained(
            {
                "epochs": found.lengths.finetune,
                "learningRate": fraction(_rate(0.01, found.batch.base, 8)),
                "batchSize": found.batch.base,
            },
            f"A student is trained on at the end, {budget.FINETUNING:.0%} as long as the base was.",
        ),
    }
    if found.lengths.compared:
        spec["baselines"] = Explained(
            ["ContinuedBase"],
            "The base trained on for as long, to tell its gain from the search's.",
        )
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": wishes.name},
        "spec": spec,
    }
    head = (
        f"# yaml-language-server: $schema={SCHEMA_FILE}\n#\n{_head(found, facts, place.manifest)}"
    )
    return head + yaml_text(document)


def _head(found: Fit, facts: DataFacts, name: str) -> str:
    counts = ", ".join(f"{count} {split}" for split, count in facts.images.items())
    took = "measured" if found.machine.seconds_per_image else "guessed, not measured,"
    lines = (
        f"Written by `detnas init` for {counts} images of {len(facts.classes)} classes and",
        f"{found.machine.name}. A training step was {took} at this size; the search is",
        f"estimated to take {_duration(found.lengths.seconds)} (of {found.hours:g} h allowed).",
        "",
        f"  detnas validate {name}      checks it after a change",
        f"  detnas run {name}           runs it, and continues it after an interruption",
        "",
        "Fields that are left out have the paper's values: docs/manifest.md lists them all.",
    )
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _dataset(facts: DataFacts, place: DataPlace, wishes: Wishes) -> dict[str, Any]:
    mirrored = not facts.mirrored_classes_differ if wishes.mirror is None else wishes.mirror
    if wishes.mirror is not None:
        why = "As you chose."
    elif mirrored:
        why = 'Nothing in the classes\' names says that left and right differ; "0" if they do.'
    else:
        why = "Classes are letters, digits or sides: a mirrored one is another, or none."
    named = {split: place.annotations[split] for split in place.annotations}
    folders = {f"{split}Images": place.images[split] for split in place.images}
    return {
        "source": {"directory": Explained(place.directory, "Relative to this file.")},
        **named,
        **folders,
        "horizontalFlip": Explained("0.5" if mirrored else "0", why),
    }


def _resolutions(found: Fit, facts: DataFacts) -> Explained:
    base = found.resolutions[-1]
    small, median = (sizes.object_pixels(one, base) for one in (facts.sides.p5, facts.sides.p50))
    return Explained(
        [str(one) for one in found.resolutions],
        f"Images have {facts.size[0]}x{facts.size[1]} pixels (median). At {base} an object has "
        f"{median:.0f} pixels (median side), and one in twenty is smaller than {small:.0f}. "
        + (
            "A step takes as long as it has pixels, so the largest size is the smallest at which "
            f"these have {sizes.ON_CPU.object_pixels}, or the images' own."
            if not found.machine.gpus
            else "The paper's largest, 1333x800, doubles COCO's images."
        ),
    )


def _detector(found: Fit, facts: DataFacts) -> dict[str, Any]:
    base = found.resolutions[-1]
    reasons = {
        "proposals": f"A full image has {facts.per_image.p95:.0f} objects; five proposals for each "
        "are enough, and the paper's 1000 take time.",
        "padDivisor": "Every size above is a multiple of it, so images are hardly padded.",
        "anchorScale": f"The smallest anchor has {4 * found.detector['anchorScale']} pixels; at "
        f"three quarters of {base}, one object in twenty is about as small or smaller. The "
        "usual scale, 8, suits COCO.",
        "anchorRatios": "Heights over widths: the usual three, and those of the slim objects here "
        f"(5 % below {facts.ratios.p5:.2f}, 5 % above {facts.ratios.p95:.2f}).",
    }
    fields = {**found.chosen.shape, **found.detector}
    return {
        key: Explained(value, reasons[key]) if key in reasons else value
        for key, value in fields.items()
    }


def _base(found: Fit, facts: DataFacts, wishes: Wishes) -> Explained:
    lengths, batch, images = found.lengths, found.batch, facts.training_images
    steps = _steps(lengths.base, images, batch.base)
    named = dict(found.chosen.base)
    if wishes.backbone_weights is not None:
        named["backboneWeights"] = wishes.backbone_weights
    why = (
        "A ResNet-18 with FPN, a quarter as wide as usual: what processors can search. "
        "`detnas init --model` names a larger one."
        if found.chosen.is_thin
        else f"{found.machine.name} can train it on {images} images."
    )
    if not found.chosen.is_thin and wishes.backbone_weights is None:
        why += " ImageNet weights (backboneWeights, docs/base-weights.md) would improve it."
    return Explained(
        {
            **named,
            "train": {
                "epochs": Explained(lengths.base, _why_epochs(lengths.base, steps, facts, batch)),
                "learningRate": fraction(_base_rate(found)),
                "batchSize": batch.base,
                "schedule": "Cosine",
                "warmupIterations": Explained(
                    min(500, steps // 15),
                    f"A fifteenth of the {steps} steps; the paper's 500 suit its 177,000.",
                ),
            },
        },
        why,
    )


def _why_epochs(epochs: int, steps: int, facts: DataFacts, batch: budget.Batches) -> str:
    images = facts.training_images
    paper = _steps(budget.PAPER_BASE_EPOCHS, images, 16)
    is_enough = epochs >= budget.enough_epochs(facts, batch)
    limit = "more would hardly help" if is_enough else "as many as the hours allow"
    return (
        f"The paper trains {budget.PAPER_BASE_EPOCHS} epochs of COCO's 118,000 images; of your "
        f"{images} they would be {counted(paper, 'step')}. {epochs} are {counted(steps, 'step')}, "
        f"{limit}."
    )


def _teachers(found: Fit, facts: DataFacts) -> Explained:
    chosen, lengths = found.chosen, found.lengths
    rate = fraction(_pool_rate(found))
    half = fraction(_pool_rate(found) / 2)
    space = dict(chosen.space)
    phases = [
        {"epochs": lengths.pool[0], "learningRate": rate},
        {"epochs": lengths.pool[1], "learningRate": half, **_middle(chosen)},
        {"epochs": lengths.pool[2], "learningRate": half},
    ]
    return Explained(
        {
            **({"supernet": chosen.supernet} if chosen.supernet else {}),
            **space,
            "batchSize": found.batch.pool,
            "schedule": "Cosine",
            "warmupIterations": _pool_warmup(found, facts.training_images),
            "phases": Explained(
                phases,
                "The paper's 48, 24 and 36 epochs, in proportion to the base's: the supernet is "
                "trained as long as the base, its subnets for a sixth and a third of that.",
            ),
        },
        "One set of weights that contains every teacher, up to half as wide again as the base.",
    )


def _middle(chosen: Chosen) -> dict[str, Any]:
    """The second phase draws deep and wide subnets only, as the paper's does."""
    low, high = (chosen.space["depths"][bound] for bound in ("min", "max"))
    return {
        "minDepths": [(a + b + 1) // 2 for a, b in zip(low, high, strict=True)],
        "widths": ["1.25", "1.5"],
    }


def _search(found: Fit) -> dict[str, Any]:
    trials, workers = found.lengths.trials, found.machine.workers
    few = trials < budget.PAPER_TRIALS
    fields: dict[str, Any] = {
        "trials": Explained(
            trials,
            "As the paper."
            if not few
            else f"The paper's are 100; as many as {found.hours:g} h allow.",
        ),
        "parallelism": Explained(workers, f"For {found.machine.name}."),
    }
    if few:
        fields |= {
            "topK": max(2, min(5, trials // 6)),
            "warmupTrials": Explained(
                max(1, min(5, trials // 10)), "Trials after the first that change the teacher only."
            ),
            "studentProbability": Explained(
                "0.75",
                "The paper's is 0.5; in a short search, more trials should change the student.",
            ),
            "actions": {
                "channelFraction": Explained(
                    "0.1", "Twice the default, so that few prunings have an effect."
                )
            },
        }
    return {**fields, "seed": 0}


def _evaluation(found: Fit, facts: DataFacts) -> Explained:
    images, batch, epochs = facts.training_images, found.batch.trial, found.lengths.trial
    theirs, steps = (_steps(one, images, batch) for one in (budget.PAPER_TRIAL_EPOCHS, epochs))
    why = (
        "The paper trains a trial for three epochs of COCO's 118,000 images; three of your "
        f"{images} would be {counted(theirs, 'step')}"
    )
    why += (
        f". {epochs} are {counted(steps, 'step')}: after fewer than {budget.TRIAL_STEPS} a student "
        "may be scored before it has adapted."
        if epochs > budget.PAPER_TRIAL_EPOCHS
        else ", enough for a student to adapt."
    )
    return Explained(
        {
            "epochs": epochs,
            "learningRate": fraction(_rate(0.01, batch, 4 if found.machine.gpus else 8)),
            "batchSize": batch,
        },
        why,
    )


def _steps(epochs: int, images: int, batch: int) -> int:
    return -(-epochs * images // batch)


def _rate(rate: float, batch: int, at: int) -> float:
    """A learning rate in proportion to the batch."""
    return rate * batch / at


def _base_rate(found: Fit) -> float:
    return _rate(0.02, found.batch.base, 8 if found.chosen.is_thin else 16)


def _pool_rate(found: Fit) -> float:
    if found.chosen.is_thin:
        return _rate(0.02, found.batch.pool, 8)
    return 0.12 * sqrt(found.batch.pool / 64)


def _pool_warmup(found: Fit, images: int) -> int:
    """Steps of warm-up in each phase: a fifth of the shortest one's."""
    return min(500, _steps(min(found.lengths.pool), images, found.batch.pool) // 5)
