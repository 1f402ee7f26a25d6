"""How the Jobs of a search stand, by what was last seen of their pods."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from detnas_operator.job_state.observed_pods import ObservedPods
from detnas_operator.job_state.queueing import Admission
from detnas_operator.job_state.state import JobState, Waiting, job_state

Object = dict[str, Any]


def job_states(
    jobs: Mapping[str, Object],
    seen: ObservedPods,
    admissions: Mapping[str, Admission],
    now: datetime,
) -> dict[str, JobState]:
    """How each Job stands, and why it does not run, as far as that was looked up.

    Args:
        jobs: by name.
        seen: the pods of those that wait for pods.
        admissions: of those that are suspended, by their UID.
        now: the time, with its zone.
    """
    return {
        name: job_state(
            job,
            seen.pods_of(job),
            now,
            seen.refusal(job),
            admissions.get(job["metadata"]["uid"]),
            seen.events,
        )
        for name, job in jobs.items()
    }


def unexplained(jobs: Mapping[str, Object], states: Mapping[str, JobState]) -> list[Object]:
    """Return the Jobs that wait for a reason which only their pods can say.

    A suspended Job has no pods.
    """
    return [jobs[name] for name in _waiting(states) if not is_suspended(jobs[name])]


def is_suspended(job: Object) -> bool:
    """Whether Kueue, or somebody, holds back all pods of a Job."""
    return bool(job["spec"].get("suspend"))


def _waiting(states: Mapping[str, JobState]) -> Iterable[str]:
    return (name for name, state in states.items() if isinstance(state, Waiting))
