"""What the end-to-end run prints of a search, and when it ends."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tools.e2e import following
from tools.process import StepFailed


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0)


def answers(*statuses: dict[str, Any]) -> Callable[[], str]:
    left = iter(statuses)
    return lambda: json.dumps({"status": next(left)})


def test_follow_prints_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    searching = {"phase": "Searching", "trials": {"progress": "1/4"}, "best": {"h": "0.31"}}
    ended = {"phase": "Succeeded", "trials": {"progress": "4/4"}}
    assert following.follow(answers({}, searching, searching, ended), 60) == ended
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].endswith("Searching · trials 1/4 · best H 0.31")


def test_follow_shows_jobs_and_problems() -> None:
    status = {
        "phase": "Searching",
        "active": [{"job": "digits-t0001", "activity": "training", "epoch": 2, "epochs": 3}],
        "conditions": [
            {
                "type": "Degraded",
                "status": "True",
                "reason": "StoreRefused",
                "message": "no bucket",
            },
            {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "all is well"},
        ],
    }
    line = following.progress(status)
    assert "digits-t0001 training epoch 2/3" in line
    assert "StoreRefused: no bucket" in line
    assert "all is well" not in line


def test_follow_ends_at_a_failed_search() -> None:
    with pytest.raises(StepFailed, match="has failed"):
        following.follow(answers({"phase": "Failed"}), 60)


def test_follow_times_out_on_an_endless_search() -> None:
    with pytest.raises(StepFailed, match="has not ended"):
        following.follow(answers({"phase": "Pending"}), -1)
