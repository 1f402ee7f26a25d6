"""Which machines a job runs on, from its pod's environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from detnas.errors import UserError

_RENDEZVOUS_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Machines:
    """The machines of one job; torch calls them nodes.

    Attributes:
        index: this one's, from 0.
        count: all of them.
        processes: ranks on each.
        host: of the machine with index 0; empty if it is the only one.
        port: on it, for the rendezvous.
        rendezvous_seconds: after which waiting for the others ends.
    """

    index: int
    count: int
    processes: int
    host: str = ""
    port: int = 0
    rendezvous_seconds: float = _RENDEZVOUS_SECONDS

    @property
    def reachable_host(self) -> str:
        """Where to reach the machine with index 0: its own name may not resolve there yet."""
        return self.host if self.index else "127.0.0.1"


def machines_from_environment(environment: Mapping[str, str] = os.environ) -> Machines:
    """Read ``DETNAS_WORKERS``, ``DETNAS_RENDEZVOUS`` and the others.

    Raises:
        UserError: one is missing, or no such value.
    """
    count = _number(environment, "DETNAS_WORKERS", least=1, default="1")
    processes = _number(environment, "DETNAS_PROCESSES_PER_WORKER", least=1, default="1")
    if count == 1:
        return Machines(0, 1, processes)
    host, _, port = _text(environment, "DETNAS_RENDEZVOUS", "host:port").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise _wrong("DETNAS_RENDEZVOUS", environment["DETNAS_RENDEZVOUS"], "host:port")
    index = _number(environment, "JOB_COMPLETION_INDEX", least=0)
    if index >= count:
        raise _wrong("JOB_COMPLETION_INDEX", str(index), f"less than DETNAS_WORKERS, {count}")
    return Machines(
        index=index,
        count=count,
        processes=processes,
        host=host.strip("[]"),
        port=int(port),
        rendezvous_seconds=_seconds(environment, "DETNAS_RENDEZVOUS_SECONDS", _RENDEZVOUS_SECONDS),
    )


def _text(environment: Mapping[str, str], name: str, right: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise UserError(f"{name} is not set", f"the job's pod sets it to {right}")
    return value


def _number(
    environment: Mapping[str, str], name: str, *, least: int, default: str | None = None
) -> int:
    value = environment.get(name) or default or _text(environment, name, "a number")
    if not value.isdecimal() or int(value) < least:
        raise _wrong(name, value, f"a whole number from {least} on")
    return int(value)


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    value = environment.get(name) or str(default)
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise _wrong(name, value, "seconds, more than 0")
    return seconds


def _wrong(name: str, value: str, right: str) -> UserError:
    return UserError(f"{name} is {value!r}", f"it must be {right}")
