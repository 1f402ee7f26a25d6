"""What slow successions waited for: the time from a Job's end to the next Job, part by part."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST = 10
"""Successions that are explained, the slowest."""


@dataclass(frozen=True, slots=True)
class Succession:
    """A Job that ended, and the one that followed; times as a watch saw them.

    Attributes:
        ended: the Job that ended.
        ended_at: when.
        started: the next Job.
        started_at: when.
    """

    ended: str
    ended_at: float
    started: str
    started_at: float

    @property
    def seconds(self) -> float:
        """From one to the other."""
        return self.started_at - self.ended_at


def explanations(successions: Iterable[Succession], trace: Path, aim: float) -> Iterator[str]:
    """Yield a line for each succession that took longer than the aim, the slowest first.

    Args:
        successions: as observed from outside.
        trace: that `traced_operator` wrote.
        aim: seconds.
    """
    ended: dict[str, float] = {}
    started: dict[str, Any] = {}
    for line in trace.read_text().splitlines():
        one = json.loads(line)
        if "ended" in one:
            ended.setdefault(one["ended"], one["at"])
        else:
            started[one["started"]] = one
    slow = [one for one in successions if one.seconds > aim]
    for one in sorted(slow, key=lambda one: -one.seconds)[:MOST]:
        known = started.get(one.started)
        if known is None or one.ended not in ended:
            yield f"{one.seconds:.2f} s: {one.started} after {one.ended}, of another operator"
        else:
            yield f"{one.seconds:.2f} s: {_parts(one, ended[one.ended], known)}"


def _parts(one: Succession, observed: float, known: dict[str, Any]) -> str:
    seconds, requests = known["seconds"], known["requests"]
    s3, api = seconds.get("s3", 0.0), seconds.get("api", 0.0)
    parts = {
        "until the operator saw the end": observed - one.ended_at,
        "until its pass began": known["begun"] - observed,
        f"{requests.get('s3', 0)} requests to S3": s3,
        f"{requests.get('api', 0)} to the API server": api,
        "the rest of the pass": known["at"] - known["begun"] - s3 - api,
        "until the Job was seen": one.started_at - known["at"],
    }
    return ", ".join(f"{what} {took:.2f}" for what, took in parts.items())
