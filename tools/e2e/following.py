"""Follows a search through its status, a line for each change, until it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from tools.process import StepFailed, clock, say

Status = Mapping[str, Any]

POLL_SECONDS = 2


def follow(read: Callable[[], str], seconds: float) -> Status:
    """Print how a search gets on until it has succeeded; its last status.

    Raises:
        StepFailed: it has failed, or the time is over.
    """
    started = time.monotonic()
    shown = ""
    while True:
        status: Status = json.loads(read()).get("status", {})
        line = progress(status)
        passed = time.monotonic() - started
        if line != shown:
            say(f"  {clock(passed):>6}  {line}")
            shown = line
        if status.get("phase") == "Succeeded":
            say(f"✓ the search has succeeded ({clock(passed)})")
            return status
        if status.get("phase") == "Failed":
            raise StepFailed("✗ the search has failed")
        if passed > seconds:
            raise StepFailed(f"✗ the search has not ended in {clock(seconds)}")
        time.sleep(POLL_SECONDS)


def progress(status: Status) -> str:
    """The state of a search, in a line."""
    parts = [status.get("phase", "not seen by the operator yet")]
    if teachers := status.get("teachers", {}).get("progress"):
        parts.append(f"teachers {teachers}")
    if trials := status.get("trials", {}).get("progress"):
        parts.append(f"trials {trials}")
    if best := status.get("best", {}).get("h"):
        parts.append(f"best H {best}")
    parts += [_job(job) for job in status.get("active", [])]
    return " · ".join([*parts, *complaints(status)])


def complaints(status: Status) -> list[str]:
    """What is wrong with the search, from its conditions."""
    wrong = {("Accepted", "False"), ("Degraded", "True")}
    return [
        f"{one['reason']}: {one['message']}"
        for one in status.get("conditions", [])
        if (one["type"], one["status"]) in wrong
    ]


def _job(job: Status) -> str:
    doing = f" {job['activity']}" if job.get("activity") else ""
    epoch = f" epoch {job['epoch']}/{job['epochs']}" if job.get("epoch") else ""
    return f"{job['job']}{doing}{epoch}"
