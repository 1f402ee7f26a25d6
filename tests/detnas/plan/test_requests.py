"""The request of each job."""

import json
from decimal import Decimal

import pytest

from detnas.actions import AddLayer, ChannelPruning
from detnas.plan.requests import FinalRequests
from detnas.plan.winner import Candidate, TrainedDetector, Winner, choose_winner
from detnas.records.proposal import Proposal, Step
from detnas.records.requests import RepeatedChannelPruning, StudentRequest
from detnas.records.settings import DetectorShape, Schedule
from detnas.store.record_format import encode_record
from detnas.teachers import Teacher
from tests.detnas.searches.results import (
    ENCODING,
    SEARCH,
    architecture,
    artifact,
    detector,
    phase,
    prepared,
    requests,
)

SPACE = requests().spec.teachers.space


def candidate(name: str, score: float, teacher: Teacher = SPACE.smallest) -> TrainedDetector:
    resolution = requests().spec.resolutions[0]
    return TrainedDetector(3, detector(name), teacher, DetectorShape(), score, resolution, 0.3)


def test_requests_resolve_paths_from_the_manifests_folder() -> None:
    base = {"architecture": ENCODING, "stem": 16, "weights": "checkpoints/base.pth"}
    built = requests(base=base)
    assert built.prepare().data.root == "/place/of/manifest/data"
    assert built.base(prepared()).weights == "/place/of/manifest/checkpoints/base.pth"
    remote = requests(base={**base, "weights": "s3://models/base.pth"})
    assert remote.base(prepared()).weights == "s3://models/base.pth"


def test_base_request_with_weights_and_no_schedule_trains_nothing() -> None:
    base = {"architecture": ENCODING, "stem": 16, "weights": "base.pth"}
    assert requests(base=base).base(prepared()).training.epochs == 0
    trained = requests().base(prepared())
    assert (trained.training.epochs, trained.weights) == (2, None)
    assert trained.architecture == architecture()


def test_pool_phase_request_names_the_phases_before_it() -> None:
    first = requests().pool_phase(prepared(), ())
    third = requests(
        teachers={"phases": [{"epochs": n, "learningRate": "0.1"} for n in (3, 2, 1)]}
    ).pool_phase(prepared(), (phase(0), phase(1)))
    assert (first.phase, first.previous, first.supernet_weights) == (0, None, None)
    assert first.space.smallest == first.space.largest == SPACE.largest
    assert (third.phase, third.training.epochs) == (2, 1)
    assert third.previous == artifact("phase-1")
    assert third.supernet_weights == artifact("phase-0")
    assert third.space == third.full_space == SPACE
    assert first.key.startswith("local/pools/")
    assert first.key.endswith("/phase-0")


def test_trial_request_names_its_parent_and_the_last_phase() -> None:
    proposal = Proposal(
        index=7,
        parent=3,
        step=Step.STUDENT,
        action=AddLayer(stage=1),
        teacher=SPACE.smallest,
        seed=99,
    )
    pool = requests().pool((phase(0), phase(1)))
    request = requests().trial(proposal, prepared(), detector("parent"), pool)
    assert request.kind == "Evaluate"
    assert request.key == f"{SEARCH}/trials/0007"
    assert request.trial == proposal
    assert (request.action, request.teacher, request.seed) == (
        proposal.action,
        proposal.teacher,
        99,
    )
    assert (request.parent, request.parent_weights) == (architecture(), artifact("parent"))
    assert request.pool is not None
    assert request.pool.weights == artifact("phase-1")
    assert request.training.epochs == 3
    assert request.classes == ("cat", "dog")


def test_finetune_request_names_the_best_pair_and_no_action() -> None:
    built = requests(finetune={"epochs": 5})
    request = FinalRequests(built).finetune(
        "folder", candidate("best", 0.5), prepared(), built.pool((phase(0), phase(1))), 1000
    )
    assert (request.kind, request.key, request.training.epochs) == ("Finetune", "folder", 5)
    assert (request.action, request.trial) == (None, None)
    assert (request.teacher, request.parent_weights) == (SPACE.smallest, artifact("best"))


def test_trial_request_of_drawn_teachers_says_so_for_the_finetuning_too() -> None:
    built = requests(teachers={"choice": "PerIteration"}, finetune={"epochs": 5})
    proposal = Proposal(index=0, step=Step.BASELINE, teacher=SPACE.largest, seed=1)
    pool = built.pool((phase(0),))
    assert built.trial(proposal, prepared(), detector("base"), pool).draws_teachers
    assert (
        FinalRequests(built)
        .finetune("f", candidate("best", 0.5), prepared(), pool, 1000)
        .draws_teachers
    )


def test_trial_request_without_inheritance_still_names_the_parents_weights() -> None:
    built = requests(evaluation={"inherit": False}, finetune={"epochs": 5})
    proposal = Proposal(index=0, step=Step.BASELINE, teacher=SPACE.largest, seed=1)
    pool = built.pool((phase(0),))
    request = built.trial(proposal, prepared(), detector("base"), pool)
    assert (request.inherit, request.parent_weights) == (False, artifact("base"))
    assert (
        FinalRequests(built).finetune("f", candidate("best", 0.5), prepared(), pool, 1000).inherit
    )


def test_trial_request_in_full_mode_trains_as_the_base_with_a_cosine() -> None:
    built = requests(evaluation={"mode": "Full", "epochs": 1})
    proposal = Proposal(index=0, step=Step.BASELINE, teacher=SPACE.largest, seed=1)
    request = built.trial(proposal, prepared(), detector("base"), built.pool((phase(0),)))
    base = built.base(prepared()).training
    assert base.schedule is Schedule.STEP
    assert request.training == base.model_copy(update={"schedule": Schedule.COSINE})
    planned = {one.name: one for one in built.prepare().trainings}
    assert planned["a trial"].training == request.training
    assert planned["a trial"].field == planned["the base"].field


def test_trial_request_by_default_has_no_field_that_earlier_trainers_lack() -> None:
    proposal = Proposal(index=0, step=Step.BASELINE, teacher=SPACE.largest, seed=1)
    pool = requests().pool((phase(0),))
    request = requests().trial(proposal, prepared(), detector("base"), pool)
    written = json.loads(encode_record(request))
    assert "format" not in written
    assert not {"inherit", "drawsTeachers"} & written.keys()


def finetuning(**settings: object) -> StudentRequest:
    built = requests(finetune=settings, search={"actions": {"minimumChannels": 4}})
    pool = built.pool((phase(0), phase(1)))
    return FinalRequests(built).finetune("folder", candidate("best", 0.5), prepared(), pool, 1001)


def test_finetune_request_prunes_channels_as_its_settings_say() -> None:
    once = finetuning(channelFraction="0.3")
    assert once.action == ChannelPruning(fraction=Decimal("0.3"), minimum_channels=4)
    to_flops = finetuning(flopsFraction="0.5").action
    assert isinstance(to_flops, RepeatedChannelPruning)
    assert (to_flops.flops, str(to_flops.resolution)) == (500, "128x96")
    assert to_flops.step.minimum_channels == 4


def test_finetune_request_has_the_one_resolution_of_its_settings() -> None:
    assert [str(one) for one in finetuning(resolution="64x64").resolutions] == ["64x64"]
    assert [str(one) for one in finetuning().resolutions] == ["64x64", "128x96"]


def test_pipeline_trains_its_trials_without_a_teacher_and_the_best_student_under_one() -> None:
    built = requests(search={"strategy": "Pipeline"}, finetune={"epochs": 5})
    pool = built.pool((phase(0), phase(1)))
    proposal = Proposal(index=0, step=Step.BASELINE, teacher=SPACE.largest, seed=1)
    trial = built.trial(proposal, prepared(), detector("parent"), pool)
    assert (trial.teacher, trial.pool, trial.trial) == (None, None, proposal)
    best = candidate("best", 0.5, proposal.teacher)
    final = FinalRequests(built).finetune("folder", best, prepared(), pool, 1000)
    assert (final.teacher, final.pool) == (SPACE.largest, pool)


def test_export_request_expects_the_recorded_map() -> None:
    winner = candidate("winner", 0.6)
    base = candidate("base", 0.5)
    request = FinalRequests(requests()).export(
        "folder", Winner(winner, "it is best"), prepared(), base
    )
    assert (request.weights, request.base_weights) == (artifact("winner"), artifact("base"))
    assert (request.resolution, request.expected_map) == (winner.resolution, winner.map)


@pytest.mark.parametrize(
    ("finetuned", "chosen"), [(0.51, "finetuned"), (0.5, "finetuned"), (0.49, "best")]
)
def test_choose_winner_takes_the_finetuned_student_unless_it_is_worse(
    finetuned: float, chosen: str
) -> None:
    winner = choose_winner([Candidate(candidate("best", 0.5), candidate("finetuned", finetuned))])
    assert winner.detector.result.weights == artifact(chosen)
    assert f"{finetuned:.4f}" in winner.reason


def test_choose_winner_without_a_finetuned_student_gives_the_reason() -> None:
    assert (
        "no fine-tuning was asked for"
        in choose_winner([Candidate(candidate("best", 0.5), None)]).reason
    )
    assert (
        "Diverged"
        in choose_winner([Candidate(candidate("best", 0.5), None, "Diverged: loss")]).reason
    )


@pytest.mark.parametrize(("before", "chosen"), [(0.53, "before"), (0.52, "finetuned")])
def test_choose_winner_takes_an_earlier_finetuned_student_if_it_is_better(
    before: float, chosen: str
) -> None:
    earlier = [candidate("worse", 0.4), candidate("before", before)]
    winner = choose_winner(
        [Candidate(candidate("best", 0.5), candidate("finetuned", 0.52))], earlier
    )
    assert winner.detector.result.weights == artifact(chosen)
    assert ("fine-tuned before" in winner.reason) is (chosen == "before")
