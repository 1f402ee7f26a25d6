"""What the API server's refusal of a Job, or of its pods, means for a search.

The quota admission plugin has no structured fields: its two message formats are parsed.
"""

import re
from dataclasses import dataclass

from detnas.reasons import ReasonCode
from detnas_operator.cluster.objects import one_line
from detnas_operator.job_state.state import Waiting

_EXCEEDED = re.compile(
    r"exceeded quota: (?P<name>[a-z0-9.-]+), requested: (?P<requested>[^ ]+), "
    r"used: (?P<used>[^ ]+), limited: [^ ]+"
)
_UNSPECIFIED = re.compile(r"failed quota: (?P<name>[a-z0-9.-]+): must specify (?P<what>.+)$")
_CONTAINERS = re.compile(r" for: [^;]+")
_COUNTS_JOBS = "count/jobs.batch"


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A quota that is used up.

    Attributes:
        name: of the ResourceQuota.
        resources: that are used up, such as ``count/jobs.batch``.
    """

    name: str
    resources: tuple[str, ...]

    @property
    def counts_jobs(self) -> bool:
        """Whether it counts Job objects, those that have ended as well."""
        return _COUNTS_JOBS in self.resources


@dataclass(frozen=True, slots=True)
class Unspecified:
    """A quota that takes only pods that state how much they need.

    Attributes:
        name: of the ResourceQuota.
        fields: that each container must have, such as ``limits.cpu``.
    """

    name: str
    fields: tuple[str, ...]


def quota_refusal(message: str) -> Exceeded | Unspecified | None:
    """Parse a refusal; None if it is not by a quota, or is worded otherwise.

    Args:
        message: of the API server, or of an event that cites it.
    """
    line = " ".join(message.split())
    if match := _EXCEEDED.search(line):
        resources = tuple(part.partition("=")[0] for part in match["requested"].split(","))
        return Exceeded(match["name"], resources)
    if match := _UNSPECIFIED.search(line):
        named = _CONTAINERS.sub("", match["what"]).replace(";", ",").split(",")
        return Unspecified(match["name"], tuple(dict.fromkeys(map(str.strip, named))))
    return None


def quota_advice(refused: Exceeded | Unspecified) -> str:
    """Return what to do about a used-up or refusing quota."""
    if isinstance(refused, Unspecified):
        return (
            f"ResourceQuota {refused.name} takes only pods that set {', '.join(refused.fields)}: "
            "set spec.jobs.resources (cpu, memory), or give the namespace a LimitRange with "
            "defaults"
        )
    if refused.counts_jobs:
        return (
            f"ResourceQuota {refused.name} ({_COUNTS_JOBS}) counts Jobs that have ended, too: it "
            "starts when some are deleted, or when the quota is raised"
        )
    return (
        f"it starts when others that use {', '.join(refused.resources)} end, or when ResourceQuota "
        f"{refused.name} is raised; or request less in spec.jobs.resources"
    )


def refusal_wait(what: str, error: str) -> Waiting:
    """Return why something could not be created.

    Args:
        what: the object, such as ``Job r18-t0007``.
        error: the API server's message, from its answer or from the Job's FailedCreate event.
    """
    reported = one_line(error)
    quota = quota_refusal(error)
    if isinstance(quota, Exceeded):
        message = f"{what} exceeds a quota: {reported}; {quota_advice(quota)}"
        return Waiting(ReasonCode.QUOTA_EXCEEDED, message)
    if quota is not None:
        message = f"{what} is refused: {reported}; {quota_advice(quota)}"
        return Waiting(ReasonCode.PODS_REFUSED, message)
    if "serviceaccount" in error.lower() and "not found" in error:
        advice = "the chart's value `namespaces` creates it"
        message = f"{what} lacks its service account: {reported}; {advice}"
        return Waiting(ReasonCode.CREDENTIALS_MISSING, message)
    return Waiting(ReasonCode.PODS_REFUSED, f"{what} is refused: {reported}")
