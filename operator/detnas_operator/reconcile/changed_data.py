"""Jobs that ended because their data is not what the search was prepared with.

That is no verdict on what they were for: none gets a result. Their Jobs stay in the cluster as the
record of it, also across restarts, until the user resumes the search, which recreates them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from detnas.reasons import Reason, ReasonCode
from detnas_operator.job_state.ended_pods import own_pods
from detnas_operator.job_state.state import job_state
from detnas_operator.job_state.states import Failed, FailureKind
from detnas_operator.reconcile.search_jobs import SearchJobs
from detnas_operator.reconcile.steps import ObservedJob

Object = dict[str, Any]

_CONTINUE = "once the old data is back, set spec.suspend to true and then to false to continue"


def saw_other_data(job: Object) -> bool:
    """Whether a Job ended because its data has changed."""
    state = job_state(job, (), datetime.now(UTC))
    return isinstance(state, Failed) and state.kind is FailureKind.DATA_CHANGED


def changed_data(jobs: SearchJobs, seen: Mapping[str, ObservedJob]) -> Reason | None:
    """Return why the search starts nothing more, if a job of it saw other data.

    Args:
        jobs: the search's Jobs in the cluster.
        seen: what matters of each for deciding, by name.
    """
    names = [name for name, job in seen.items() if job.data_changed and not job.has_result]
    if not names:
        return None
    name = min(names)  # the same in every pass
    job = jobs.all()[name]
    state = job_state(job, own_pods(job, jobs.pods_of(name)), datetime.now(UTC))
    said = state.message if isinstance(state, Failed) else f"job {name} saw other data"
    return Reason(ReasonCode.DATA_CHANGED, f"{said}; {_CONTINUE}")
