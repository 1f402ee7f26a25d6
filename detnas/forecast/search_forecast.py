"""Time, device hours and storage of a search: what `detnas estimate` states."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from detnas.forecast.devices import Devices
from detnas.forecast.forecast import TimeForecast, time_forecast
from detnas.forecast.speed import Speed
from detnas.forecast.storage import StorageForecast, storage_forecast
from detnas.forecast.trainings import trainings_of
from detnas.forecast.work import Loads, loads, search_work
from detnas.schema import Count, Schema
from detnas.spec.manifest import SearchSpec


@dataclass(frozen=True)
class DataSize:
    """What the time of a search depends on, of a data set.

    Attributes:
        images: number of images of each split, by name.
        classes: number of classes.
    """

    images: Mapping[str, int]
    classes: int


class SearchForecast(Schema):
    """What a search takes before it has begun.

    Attributes:
        images: number of images of each split that was assumed.
        time: how long it takes.
        storage: what it stores.
        basis: what the figures and their ranges come from.
        notes: what they leave out.
    """

    images: dict[str, Count]
    time: TimeForecast
    storage: StorageForecast
    basis: str
    notes: tuple[str, ...] = ()


def search_loads(spec: SearchSpec, classes: int) -> Loads:
    """Return what the detectors of a search compute."""
    return loads(spec.base.resolve(), spec.detector, classes, spec.resolutions, spec.teachers)


def search_forecast(
    spec: SearchSpec, data: DataSize, speed: Speed, devices: Devices, basis: str
) -> SearchForecast:
    """Return what a search takes.

    Args:
        spec: of the search.
        data: size of its data set.
        speed: of one device.
        devices: that run it.
        basis: where the speed comes from.
    """
    trainings = trainings_of(spec)
    work = search_work(trainings, search_loads(spec, data.classes), data.images)
    return SearchForecast(
        images=dict(data.images),
        time=time_forecast(work, speed, devices, _fewest_trials(spec)),
        storage=storage_forecast(spec, trainings, data.classes, data.images),
        basis=basis,
        notes=tuple(_notes(spec)),
    )


def _fewest_trials(spec: SearchSpec) -> int | None:
    """Trials after which the search may end early: the first is the best of all."""
    ends_early = spec.search.has_patience and spec.search.patience < spec.search.trials
    return 1 + spec.search.patience if ends_early else None


def _notes(spec: SearchSpec) -> Iterator[str]:
    if (fewest := _fewest_trials(spec)) is not None:
        yield (
            f"the least time assumes that search.patience ends the search after {fewest} of "
            f"{spec.search.trials} trials"
        )
    if spec.teachers.external is not None:
        yield "the external teacher counts as a typical one of the pool; its own cost is unknown"
    if spec.finetune is not None and spec.finetune.upgrade is not None:
        yield "what finetune.upgrade adds to the fine-tuning is not counted"
    if spec.search.counts_latency:
        yield "measuring latencies is not counted"
    if spec.base.train is not None and spec.base.kept_stages > 0:
        yield "frozen stages save time in the base's training, which is not counted"
