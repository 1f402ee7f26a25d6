"""The list of reasons: names, severity, and that the code uses every one of them."""

from pathlib import Path

import pytest

from detnas.plan.stages import Phase
from detnas.reasons import Category, Reason, ReasonCode

ROOT = Path(__file__).parents[2]
WAITS_WORST_FIRST = (
    ReasonCode.SUSPENDED,
    ReasonCode.QUOTA_EXCEEDED,
    ReasonCode.PODS_REFUSED,
    ReasonCode.UNSCHEDULABLE,
    ReasonCode.DATA_MISSING,
    ReasonCode.CREDENTIALS_MISSING,
    ReasonCode.IMAGE_PULL,
    ReasonCode.CONTAINER_REFUSED,
    ReasonCode.INIT_CONTAINER,
    ReasonCode.NODE_LOST,
    ReasonCode.NOT_STARTING,
    ReasonCode.QUEUED,
    ReasonCode.RETRYING,
    ReasonCode.STARTING,
)


def test_reason_of_a_waiting_job_has_its_own_severity() -> None:
    severities = [code.severity for code in WAITS_WORST_FIRST]

    assert severities == sorted(set(severities), reverse=True)


@pytest.mark.parametrize("code", ReasonCode)
def test_reason_needs_attention_unless_it_is_healthy_or_resolves_itself(code: ReasonCode) -> None:
    harmless = {Category.INTERNAL, Category.EVENT, Category.HEALTHY, Category.SELF_RESOLVING}

    assert code.needs_attention is (code.category not in harmless)
    assert not code.needs_attention or "Degraded" in code.conditions
    assert code.isalnum()
    assert code[0].isupper()


def test_every_reason_is_used_in_the_code() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("detnas", "operator")
        for path in (ROOT / folder).rglob("*.py")
    )
    unused = {code for code in ReasonCode if f"ReasonCode.{code.name}" not in source}

    assert unused <= {ReasonCode(phase) for phase in Phase}


def test_static_message_has_its_fields_filled_in() -> None:
    reason = Reason.static(ReasonCode.TRAINING, done=1, phases=3)

    assert reason == Reason(ReasonCode.TRAINING, "1 of 3 phases are trained")
