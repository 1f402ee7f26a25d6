"""Records: camelCase in JSON, read back as they were, and nothing unknown or wrong let in."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from detnas.actions import AddLayer, ChannelPruning, LayerPruning, Rearrange
from detnas.architecture import Architecture, Place
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.progress import Progress
from detnas.records.proposal import Proposal, Step
from detnas.records.requests import (
    BaseRequest,
    ExportRequest,
    Pool,
    PoolPhaseRequest,
    PrepareRequest,
    RepeatedChannelPruning,
    Request,
    StudentRequest,
)
from detnas.records.results import (
    AnyResult,
    DetectorResult,
    ExportResult,
    Latency,
    Outcome,
    PoolPhaseResult,
    PrepareResult,
    Score,
    SplitSummary,
    SubnetScore,
)
from detnas.records.settings import (
    DataLocation,
    DetectorShape,
    Resolution,
    Schedule,
    Training,
)
from detnas.schema import Schema
from detnas.teachers import SupernetShape, Teacher, TeacherSpace
from tests.detnas.strategies import architectures, teachers
from tests.detnas.trials import ARCHITECTURE, LARGE, SMALL, START, failure, proposal, result

REQUESTS: TypeAdapter[Request] = TypeAdapter(Request)
RESULTS: TypeAdapter[AnyResult] = TypeAdapter(AnyResult)

ARTIFACT = Artifact(key="a/b.safetensors", size=12, sha256="ab" * 32)
DATA = DataLocation(root="/data", train="train.json", val="val.json", train_images="images")
SCORE = Score(
    resolution=LARGE, map=1 / 3, ap50=0.5, ap75=0.2, ap_small=-1.0, ap_medium=0.3, ap_large=0.4
)
TRAINING = Training(epochs=3, learning_rate=Decimal("0.01"), batch_size=4, schedule=Schedule.STEP)
COMMON = {
    "key": "local/searches/s-12345678/base",
    "seed": 3,
    "data": DATA,
    "classes": ("zero", "one"),
    "detector": DetectorShape(neck=32),
    "resolutions": (SMALL, LARGE),
    "training": TRAINING,
}
STUDENT = StudentRequest.model_validate(
    {
        **COMMON,
        "trial": proposal(3, parent=1),
        "parent": ARCHITECTURE,
        "parent_added": ({"place": Place(0, 1), "age": 2},),
        "parent_weights": ARTIFACT,
        "action": ChannelPruning(fraction=Decimal("0.1")),
        "teacher": TeacherSpace().smallest,
        "pool": Pool(supernet=SupernetShape(), space=TeacherSpace(), weights=ARTIFACT),
    }
)
REQUEST_EXAMPLES: list[Schema] = [
    PrepareRequest(key="local/x/prepare", data=DATA, resolutions=(SMALL,)),
    BaseRequest.model_validate({**COMMON, "architecture": ARCHITECTURE, "weights": "r18.pth"}),
    PoolPhaseRequest.model_validate(
        {
            **COMMON,
            "phase": 1,
            "supernet": SupernetShape(),
            "full_space": TeacherSpace(),
            "space": TeacherSpace(),
            "previous": ARTIFACT,
            "supernet_weights": ARTIFACT,
        }
    ),
    STUDENT,
    STUDENT.model_copy(update={"kind": "Finetune", "trial": None, "action": None}),
    STUDENT.model_copy(
        update={
            "kind": "Finetune",
            "trial": None,
            "action": RepeatedChannelPruning(step=ChannelPruning(), flops=7, resolution=SMALL),
        }
    ),
    ExportRequest(
        key="local/x/students/best",
        data=DATA,
        classes=("zero",),
        detector=DetectorShape(),
        architecture=ARCHITECTURE,
        weights=ARTIFACT,
        resolution=SMALL,
        expected_map=0.1 + 0.2,
        base=ARCHITECTURE,
        base_weights=ARTIFACT,
        base_resolution=LARGE,
    ),
]
TIMES = {"started": START, "finished": START + timedelta(seconds=1.5)}
RESULT_EXAMPLES: list[Schema] = [
    PrepareResult.model_validate(
        {
            **TIMES,
            "digest": "d",
            "classes": ("zero",),
            "train": SplitSummary(sha256="s", images=3, boxes=7, empty_images=1),
            "missing": ("a.png",),
        }
    ),
    result(3),
    failure(4, Outcome.OUT_OF_MEMORY),
    PoolPhaseResult.model_validate(
        {
            **TIMES,
            "subnets": (
                SubnetScore(name="largest", depths=(1,), widths=("1.5",), scores=(SCORE,)),
            ),
            "files": {"weights": ARTIFACT},
        }
    ),
    ExportResult.model_validate(
        {
            **TIMES,
            "map": 0.3,
            "student_latency": Latency(resolution=SMALL, milliseconds=3.25, device="CPU"),
        }
    ),
]


def _name(record: Schema) -> str:
    return type(record).__name__


def _keys(value: object) -> set[str]:
    """Every key of nested JSON, but those of maps whose keys are data."""
    if isinstance(value, list):
        return set().union(*map(_keys, value))
    if not isinstance(value, dict):
        return set()
    nested = [_keys(v) for k, v in value.items() if k not in ("files", "seconds", "versions")]
    return set(value).union(*nested)


@pytest.mark.parametrize("record", REQUEST_EXAMPLES + RESULT_EXAMPLES, ids=_name)
def test_record_is_read_back_by_its_kind(record: Schema) -> None:
    kinds: TypeAdapter[Any] = REQUESTS if record in REQUEST_EXAMPLES else RESULTS
    found = kinds.validate_json(record.model_dump_json(by_alias=True))
    assert found == record
    assert type(found) is type(record)


@pytest.mark.parametrize("record", REQUEST_EXAMPLES + RESULT_EXAMPLES, ids=_name)
def test_fields_are_camel_case_in_json(record: Schema) -> None:
    found = _keys(json.loads(record.model_dump_json(by_alias=True)))
    assert found
    assert {key for key in found if key != to_camel(key)} == set()


@pytest.mark.parametrize("record", REQUEST_EXAMPLES + RESULT_EXAMPLES, ids=_name)
def test_unknown_field_is_refused_by_name(record: Schema) -> None:
    content = json.loads(record.model_dump_json(by_alias=True))
    content["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise\n  Extra inputs are not permitted"):
        type(record).model_validate_json(json.dumps(content))


@pytest.mark.parametrize("record", REQUEST_EXAMPLES + RESULT_EXAMPLES, ids=_name)
def test_missing_field_is_refused_by_name(record: Schema) -> None:
    required = [f.alias for f in type(record).model_fields.values() if f.is_required()]
    assert required
    for field in required:
        content = json.loads(record.model_dump_json(by_alias=True))
        del content[field]
        with pytest.raises(ValidationError, match=f"{field}\n  Field required"):
            type(record).model_validate_json(json.dumps(content))


def test_record_is_never_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        STUDENT.seed = 4  # type: ignore[misc]


@given(architectures(), teachers(), st.integers(0, 10**6), st.integers(0, 2**31))
def test_any_trial_survives_the_store(
    architecture: Architecture, teacher: Teacher, index: int, seed: int
) -> None:
    proposed = Proposal(index=index, step=Step.TEACHER, teacher=teacher, seed=seed)
    request = STUDENT.model_copy(
        update={"trial": proposed, "parent": architecture, "teacher": teacher}
    )
    assert StudentRequest.model_validate_json(request.model_dump_json(by_alias=True)) == request


@given(st.floats(0, 1))
def test_score_keeps_every_digit(mean_ap: float) -> None:
    score = SCORE.model_copy(update={"map": mean_ap})
    assert Score.model_validate_json(score.model_dump_json(by_alias=True)).map == mean_ap


@pytest.mark.parametrize(
    "action",
    [
        ChannelPruning(fraction=Decimal("0.05"), channel_divisor=8),
        LayerPruning(norm="Mean", protected=(Place(2, 3),)),
        AddLayer(stage=3),
        Rearrange(source=1, target=2),
    ],
    ids=lambda action: action.kind,
)
def test_action_is_read_back_by_its_kind(action: Schema) -> None:
    proposed = proposal(1, None, step=Step.STUDENT, action=action)
    text = proposed.model_dump_json(by_alias=True)
    assert Proposal.model_validate_json(text).action == action


def test_fractions_are_strings_and_architectures_lists_in_json() -> None:
    content = json.loads(STUDENT.model_dump_json(by_alias=True))
    assert content["training"]["learningRate"] == "0.01"
    assert content["action"]["fraction"] == "0.1"
    assert content["teacher"]["widths"] == ["1.0"] * 6
    assert content["parent"]["stages"][3] == [[64, 64]]
    assert content["resolutions"] == ["96x64", "128x96"]
    assert content["parentAdded"] == [{"place": [0, 1], "age": 2}]


@pytest.mark.parametrize("text", ["96", "96x", "x64", "96x64x3", "96 x 64", "0x64", "-96x64", ""])
def test_resolution_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Resolution.model_validate(text)


@pytest.mark.parametrize("digest", ["", "ab", "AB" * 32, "xy" * 32, "ab" * 33])
def test_artifact_digest_has_64_digits(digest: str) -> None:
    with pytest.raises(ValidationError, match="sha256"):
        Artifact(key="a", size=1, sha256=digest)


def test_failure_has_no_weights() -> None:
    with pytest.raises(KeyError):
        _ = failure(1, Outcome.DIVERGED).weights
    assert result(1).weights == result(1).files["weights"]
    with pytest.raises(KeyError):
        _ = DetectorResult.model_validate({**TIMES, "outcome": "Invalid"}).weights


def test_progress_is_read_back() -> None:
    progress = Progress(activity="training", done=3, total=10, epoch=1, epochs=2, updated=START)
    assert Progress.model_validate_json(progress.model_dump_json(by_alias=True)) == progress


@pytest.mark.parametrize(("field", "most"), [("scores", 16), ("added", 64)])
def test_result_with_too_many_scores_is_refused(field: str, most: int) -> None:
    """Whatever a job writes, the operator keeps of the best."""
    whole = result(0).model_dump(mode="json", by_alias=True)
    one = {"scores": whole["scores"][0], "added": {"place": [0, 0], "age": 0}}[field]
    assert DetectorResult.model_validate({**whole, field: [one] * most})
    with pytest.raises(ValidationError, match=f"at most {most} items"):
        DetectorResult.model_validate({**whole, field: [one] * (most + 1)})


def test_times_keep_their_time_zone() -> None:
    found = RESULTS.validate_json(result(1).model_dump_json(by_alias=True))
    assert found.finished == datetime(2026, 1, 1, 0, 1, 30, tzinfo=UTC)
    assert found.finished.utcoffset() == timedelta(0)


def test_keys_are_those_of_the_design() -> None:
    search = keys.search_folder("local", "digits", "0123456789abcdef")
    assert search == "local/searches/digits-01234567"
    assert keys.trial_folder(search, 7) == f"{search}/trials/0007"
    assert keys.trial_folder(search, 12345) == f"{search}/trials/12345"
    assert keys.ledger_segment(search, 0) == f"{search}/ledger/0000.json"
    pool = keys.pool_folder("team", "abc")
    assert keys.pool_phase_folder(pool, 2) == "team/pools/abc/phase-2"
    assert keys.request_key(pool) == f"{pool}/request.json"
    assert keys.result_key(pool) == f"{pool}/result.json"
    assert keys.attempt_folder(pool, 1) == f"{pool}/attempts/1"
