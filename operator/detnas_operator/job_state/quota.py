"""What the quota admission plugin says, which has no structured field: its two sentences."""

import re
from dataclasses import dataclass

_EXCEEDED = re.compile(
    r"exceeded quota: (?P<name>[a-z0-9.-]+), requested: (?P<requested>[^ ]+), "
    r"used: (?P<used>[^ ]+), limited: (?P<limited>[^ ]+)"
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
        limited: how much of them there may be, as the server writes it.
    """

    name: str
    resources: tuple[str, ...]
    limited: str

    @property
    def counts_jobs(self) -> bool:
        """Whether it counts Job objects, those that have ended as well."""
        return _COUNTS_JOBS in self.resources


@dataclass(frozen=True, slots=True)
class Unspecified:
    """A quota that takes only pods which say how much they need.

    Attributes:
        name: of the ResourceQuota.
        fields: that each container must have, such as ``limits.cpu``.
    """

    name: str
    fields: tuple[str, ...]


def quota_refusal(words: str) -> Exceeded | Unspecified | None:
    """Read a refusal; none where a quota is not its reason, or says it otherwise.

    Args:
        words: of the API server, or of an event that cites it.
    """
    line = " ".join(words.split())
    if found := _EXCEEDED.search(line):
        resources = tuple(part.partition("=")[0] for part in found["requested"].split(","))
        return Exceeded(found["name"], resources, found["limited"])
    if found := _UNSPECIFIED.search(line):
        named = _CONTAINERS.sub("", found["what"]).replace(";", ",").split(",")
        return Unspecified(found["name"], tuple(dict.fromkeys(map(str.strip, named))))
    return None


def quota_advice(refused: Exceeded | Unspecified) -> str:
    """Return what to do about it."""
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
        f"{refused.name} is raised; or ask for less in spec.jobs.resources"
    )
