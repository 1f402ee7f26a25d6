"""Why Jobs do not run: looked up from pods and events, which are not watched."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from detnas_operator.job.pods import ENDED, owned, phase
from detnas_operator.job.state import JobState, job_state
from detnas_operator.passes.search_jobs import SearchJobs

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why Jobs do not run, as last looked up.

    Attributes:
        pods: of the search's Jobs.
        refused: why a pod of a Job could not be created, by the Job's name.
    """

    pods: Sequence[Object] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


def job_states(
    jobs: Mapping[str, Object], explanation: Explanation, now: datetime
) -> dict[str, JobState]:
    """How each Job stands, and why it does not run, as far as that was looked up."""
    refused = explanation.refused
    return {
        name: job_state(job, explanation.pods, now, refused.get(name, ""))
        for name, job in jobs.items()
    }


def explain(jobs: SearchJobs, waiting: Iterable[str]) -> Explanation:
    """Look up why Jobs do not run.

    Args:
        jobs: the search's Jobs in the cluster.
        waiting: names of those that do not run.
    """
    pods, seen = jobs.live_pods(), jobs.all()
    lacking = [seen[name] for name in waiting if name in seen and _lacks_pods(seen[name], pods)]
    return Explanation(pods, jobs.refusals(lacking) if lacking else {})


def _lacks_pods(job: Object, pods: Sequence[Object]) -> bool:
    live = sum(phase(pod) not in ENDED for pod in owned(job, pods))
    return live < int(job["spec"].get("parallelism") or 1)
