"""What a search found for a row of a table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from detnas.cost import detector_cost
from detnas.ledger import read_entries
from detnas.lifecycle.outcome import stored_exports
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.search_cost import search_cost
from detnas.plan.latencies import benchmarked_latencies
from detnas.plan.recommendation import MeasuredLatency
from detnas.plan.winner import TrainedDetector, trained_detector
from detnas.records import keys
from detnas.records.benchmark import Benchmark
from detnas.records.settings import Resolution
from detnas.reproduction.tables import Column, TableRow


@dataclass(frozen=True, slots=True)
class Measured:
    """A detector of a search.

    Attributes:
        values: by column.
        resolution: at which it was measured.
        h: its score there.
        curve: best H so far after each finished trial, by number; of trials, not of the base.
    """

    values: Mapping[Column, float]
    resolution: Resolution
    h: float
    curve: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class FinishedSearch:
    """A search whose detectors can be measured.

    Attributes:
        search: the search.
        state: of the search.
        latencies: of its exported files, by `detnas bench`; of several of one detector the first
            counts.
    """

    search: StoredSearch
    state: SearchState
    latencies: tuple[MeasuredLatency, ...] = ()

    def measure(self, row: TableRow) -> Measured | None:
        """Return what the row asks for; None if the search has no such detector."""
        detector = self._detector(row)
        scorer = self.state.scorer
        if detector is None or scorer is None:
            return None
        architecture = detector.result.architecture
        assert architecture is not None
        result = detector.result
        scored = scorer.score(architecture, result.scores, detector.teacher, result.shape)
        size = row.resolution or detector.resolution
        here = next((one for one in scored.scores if one.resolution == size), None)
        if here is None:
            return None
        cost = detector_cost(architecture, detector.shape, scorer.classes, size)
        values: dict[Column, float] = {
            Column.AP: 100 * here.map,
            Column.GFLOPS: cost.flops / 1e9,
            Column.BACKBONE_GFLOPS: cost.backbone.flops / 1e9,
            Column.PARAMETERS: cost.parameters / 1e6,
            Column.GPU_DAYS: search_cost(self.state, self.search.requests.spec).total_gpu_days,
        }
        fps = self._fps(detector, size)
        if fps is not None:
            values[Column.FPS] = fps
        return Measured(values, size, here.h, self._curve())

    def _fps(self, detector: TrainedDetector, size: Resolution) -> float | None:
        tuned = detector.trial is not None and keys.is_of_finetuning(detector.result.weights.key)
        for one in self.latencies:
            if (one.trial, one.finetuned, one.resolution) == (detector.trial, tuned, size):
                return 1000 / one.milliseconds
        return None

    def _detector(self, row: TableRow) -> TrainedDetector | None:
        state, stages = self.state, self.state.final_stages
        if row.detector == "Base":
            if state.base is None or state.scorer is None:
                return None
            return trained_detector(state.scorer, None, state.base, None)
        if stages is None:
            return None
        return stages.best if row.detector == "Trial" else stages.finetuned

    def _curve(self) -> tuple[float, ...]:
        scorer = self.state.scorer
        assert scorer is not None
        best, curve = float("-inf"), []
        for entry in read_entries(self.search.store, self.search.requests.search, scorer):
            best = best if entry.h is None else max(best, entry.h)
            if best > float("-inf"):
                curve.append(best)
        return tuple(curve)


def read_finished(search: StoredSearch, benchmarks: Iterable[Benchmark] = ()) -> FinishedSearch:
    """Read a search that has ended.

    Args:
        search: the search.
        benchmarks: of exported files, its own among them.

    Raises:
        UserError: a record cannot be read.
    """
    state = SearchReader(search.store, search.requests).read()
    latencies: list[MeasuredLatency] = []
    given = tuple(benchmarks)
    if given and state.scorer is not None:
        trials = [*read_entries(search.store, search.requests.search, state.scorer)]
        exports = stored_exports(search, state, trials)
        for benchmark in given:
            latencies += benchmarked_latencies(benchmark, exports)[0]
    return FinishedSearch(search, state, tuple(latencies))
