"""The status: bounded whatever is put into it, and the same when it is read again."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import BaseModel

from detnas.resource import ResourceStatus
from detnas.resource.cut import cut, number_text
from detnas.resource.status import MAX_STATUS_BYTES, ActiveJobStatus, Condition
from tests.detnas.resource.largest import largest_status

CHARACTERS = ["x", '"', "\\", "<", "ü", "中", "😀", "\u2028", "\x00"]


def stored_bytes(status: ResourceStatus) -> int:
    """Bytes as Kubernetes writes them: some characters take six."""
    text = json.dumps(status.to_json(), ensure_ascii=False, separators=(",", ":"))
    return len(text.encode()) + sum(6 - len(c.encode()) for c in text if c in "<>&\u2028\u2029")


@pytest.mark.parametrize("character", CHARACTERS)
def test_largest_status_is_below_64_kilobytes(character: str) -> None:
    assert stored_bytes(largest_status(character)) < MAX_STATUS_BYTES


def test_largest_status_has_every_field() -> None:
    def check(model: BaseModel) -> None:
        assert model.model_fields_set == set(type(model).model_fields)
        for name in type(model).model_fields:
            value = getattr(model, name)
            assert value not in (None, "", ())
            for inner in value if isinstance(value, tuple) else (value,):
                if isinstance(inner, BaseModel):
                    check(inner)

    check(largest_status())


@pytest.mark.parametrize("character", CHARACTERS[:-1])
def test_status_read_again_is_equal(character: str) -> None:
    status = largest_status(character)
    assert ResourceStatus.model_validate(json.loads(json.dumps(status.to_json()))) == status


def test_status_leaves_out_unknown_fields() -> None:
    assert ResourceStatus(phase="Pending").to_json() == {
        "observedGeneration": 0,
        "phase": "Pending",
        "conditions": [],
        "active": [],
        "top": [],
        "front": [],
        "recommended": [],
        "failures": [],
        "compared": [],
        "forgivenTrials": 0,
    }


def test_cut_ends_a_long_text_in_an_ellipsis() -> None:
    assert cut("too long a text", 10) == "too lon…"
    assert cut("ü" * 9, 10) == "üüü…"
    assert cut("just fits.", 10) == "just fits."
    assert cut("two\nlines\t", 20) == "two lines"
    assert cut("\ud800", 10) == "?"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.41237, "0.4124"),
        (-1, "-1.0000"),
        (0, "0.0000"),
        (123_456.7, "123456.7000"),
        (3.2e30, "3.200e+30"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_status_numbers_are_strings(number: float, text: str) -> None:
    assert number_text(number) == text
    job = ActiveJobStatus.model_validate({"job": "r50-t0001", "verb": "evaluate", "loss": number})
    assert job.loss == text


def test_status_times_are_seconds_in_utc() -> None:
    moment = datetime(2026, 11, 22, 21, 30, 15, 999_999, tzinfo=timezone(timedelta(hours=1)))
    condition = Condition(
        type="Accepted", status="True", last_transition_time=moment, reason="Valid"
    )
    assert condition.last_transition_time == datetime(2026, 11, 22, 20, 30, 15, tzinfo=UTC)
    written_down = condition.model_dump(mode="json", by_alias=True)["lastTransitionTime"]
    assert written_down == "2026-11-22T20:30:15Z"
