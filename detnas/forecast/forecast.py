"""From the work of a search and the speed of its devices to hours, with how sure they are."""

from collections.abc import Iterable

from detnas.forecast.devices import Devices
from detnas.forecast.speed import Speed
from detnas.forecast.spread import Spread, exactly, total
from detnas.forecast.work import JobWork
from detnas.records.results import MAX_JOB_SUBNETS
from detnas.records.verbs import Verb
from detnas.schema import Positive, Schema

_SETUP = (Verb.BASE, Verb.POOL)
_HOUR = 3600


class PartForecast(Schema):
    """Some equal jobs of a search.

    Attributes:
        name: for people, such as ``trials``.
        verb: kind of the jobs.
        jobs: their number.
        at_once: how many of them run concurrently.
        devices: that each of them has.
        seconds_each: of each.
        device_hours: of all.
        wall_seconds: from the first one's start to the last one's end.
    """

    name: str
    verb: Verb
    jobs: Positive
    at_once: Positive
    devices: Positive
    seconds_each: Spread
    device_hours: Spread
    wall_seconds: Spread


class TimeForecast(Schema):
    """How long a search takes.

    Attributes:
        machine: that it is for.
        unit: of device hours: ``GPU`` or ``core``.
        parts: in the order in which they run; base and pool run concurrently if two jobs may.
        device_hours: of all parts.
        wall_seconds: of the search, if every job starts as soon as its devices are free.
    """

    machine: str
    unit: str
    parts: tuple[PartForecast, ...]
    device_hours: Spread
    wall_seconds: Spread


def time_forecast(
    work: Iterable[JobWork], speed: Speed, devices: Devices, fewest_trials: int | None = None
) -> TimeForecast:
    """Return how long a search takes.

    Args:
        work: of its jobs.
        speed: of one device.
        devices: that it has.
        fewest_trials: after which it may end early; None if it runs all of them.
    """
    parts = tuple(_part(one, speed, devices, fewest_trials) for one in work)
    return TimeForecast(
        machine=devices.name,
        unit=devices.unit,
        parts=parts,
        device_hours=total(part.device_hours for part in parts),
        wall_seconds=_wall(parts, together=devices.share(Verb.BASE).at_once > 1),
    )


def _part(work: JobWork, speed: Speed, devices: Devices, fewest: int | None) -> PartForecast:
    share = devices.share(work.verb)
    computing = speed.factor(work.verb) * speed.seconds(work, share.speedup)
    each = computing + exactly(devices.start_seconds)
    jobs = exactly(work.jobs)
    if fewest is not None and work.verb is Verb.EVALUATE:
        jobs = jobs.model_copy(update={"low": min(fewest, work.jobs)})
    rounds = Spread(**{name: -(-count // share.at_once) for name, count in jobs})
    return PartForecast(
        name=_name(work),
        verb=work.verb,
        jobs=work.jobs,
        at_once=min(share.at_once, work.jobs),
        devices=share.devices,
        seconds_each=each,
        device_hours=each * jobs * (share.devices / _HOUR),
        wall_seconds=each * rounds,
    )


def _wall(parts: tuple[PartForecast, ...], *, together: bool) -> Spread:
    """Of all parts, one after the other, but for base and pool if they may run together."""
    base, pool = (total(one.wall_seconds for one in parts if one.verb is verb) for verb in _SETUP)
    setup = base.latest(pool) if together else base + pool
    return total([setup, *(one.wall_seconds for one in parts if one.verb not in _SETUP)])


def _name(work: JobWork) -> str:
    return {
        Verb.PREPARE: "data check",
        Verb.BASE: "base",
        Verb.POOL: f"pool, phase {work.number}",
        Verb.EVALUATE: "trials",
        Verb.SUBNETS: f"trials (jobs of up to {MAX_JOB_SUBNETS} subnets)",
        Verb.EXTRACT: "extraction",
        Verb.FINETUNE: "fine-tuning",
        Verb.BASELINE: "baselines",
        Verb.TEST: "test",
        Verb.EXPORT: "export",
    }[work.verb]
