"""Reads a finished search's figures from its store."""

from collections.abc import Iterable, Iterator, Sequence

from detnas.architecture import encode
from detnas.cost import detector_cost
from detnas.ledger import LedgerEntry, read_entries
from detnas.lifecycle.outcome import detectors_of, stored_exports
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.search_cost import search_cost
from detnas.plan.digests import settings_digest
from detnas.plan.front import pareto_front
from detnas.plan.latencies import benchmarked_latencies
from detnas.plan.recommendation import MeasuredLatency
from detnas.plan.winner import TrainedDetector, trained_detector
from detnas.records import keys
from detnas.records.benchmark import Benchmark
from detnas.records.results import DetectorResult, Score
from detnas.records.settings import Resolution
from detnas.reproduction.figures import (
    DetectorFigures,
    FrontFigures,
    Role,
    SearchFigures,
    SizeFigures,
)
from detnas.score import Scorer
from detnas.spec.manifest import SearchSpec
from detnas.store.artifacts import load_record
from detnas.version import own_version

Detectors = dict[Role, TrainedDetector]


def spec_digest(spec: SearchSpec) -> str:
    """Digest of a specification without its seed."""
    return settings_digest(spec.model_dump(exclude={"search": {"seed"}}))[:12]


def read_finished(
    search: StoredSearch, benchmarks: Iterable[Benchmark] = (), digest: str = ""
) -> SearchFigures:
    """Read what a search found that has ended.

    Args:
        search: the search.
        benchmarks: of exported files, its own among them; of several of one detector the first
            counts.
        digest: of the specification as it was asked for; by default of the search's own.

    Raises:
        UserError: a record cannot be read.
    """
    requests = search.requests
    state = SearchReader(search.store, requests).read()
    scorer = state.scorer
    assert scorer is not None, "it has ended"
    entries = [*read_entries(search.store, requests.search, scorer)]
    latencies = _latencies(search, state, entries, benchmarks)
    tested = state.final_stages.tested if state.final_stages is not None else {}
    found = {
        role: _figures(detector, scorer, latencies, tested.get(detector.name, ()))
        for role, detector in _detectors(state).items()
    }
    return SearchFigures(
        search=requests.manifest.metadata.name,
        seed=requests.spec.search.seed,
        spec_digest=digest or spec_digest(requests.spec),
        version=own_version(),
        detectors=found,
        front=_front(state, scorer),
        curve=_curve(entries),
        student_iterations=_student_iterations(search, state, entries),
        cost=search_cost(state, requests.spec),
        uri=search.uri,
    )


def _detectors(state: SearchState) -> Detectors:
    assert state.scorer is not None
    assert state.base is not None
    found = {Role.BASE: trained_detector(state.scorer, None, state.base, None)}
    stages = state.final_stages
    if stages is None:
        return found
    found[Role.TRIAL] = stages.best
    if stages.finetuned is not None:
        found[Role.FINETUNED] = stages.finetuned
    if stages.winner is not None:
        found[Role.EXPORTED] = stages.winner.detector
    for one in stages.baselines:
        if one.detector is not None:
            found[Role(one.baseline)] = one.detector
    return found


def _figures(
    detector: TrainedDetector,
    scorer: Scorer,
    latencies: Sequence[MeasuredLatency],
    tested: Iterable[TrainedDetector],
) -> DetectorFigures:
    architecture = detector.result.architecture
    assert architecture is not None
    base = detector_cost(architecture, detector.shape, scorer.classes, scorer.base_resolution)
    scores = detector.result.scores
    return DetectorFigures(
        encoding=encode(architecture),
        parameters=base.parameters,
        relative_flops=base.flops / scorer.flops,
        resolution=detector.resolution,
        validation=tuple(_at_sizes(detector, scores, scorer, latencies)),
        test=tuple(
            size for one in tested for size in _at_sizes(one, one.result.scores, scorer, latencies)
        ),
    )


def _at_sizes(
    detector: TrainedDetector,
    scores: Sequence[Score],
    scorer: Scorer,
    latencies: Sequence[MeasuredLatency],
) -> Iterator[SizeFigures]:
    architecture = detector.result.architecture
    assert architecture is not None
    scored = scorer.score(architecture, scores, detector.teacher, detector.result.shape)
    for one in scored.scores:
        cost = detector_cost(architecture, detector.shape, scorer.classes, one.resolution)
        yield SizeFigures(
            resolution=one.resolution,
            map=one.map,
            h=one.h,
            flops=cost.flops,
            backbone_flops=cost.backbone.flops,
            fps=_fps(detector, one.resolution, latencies),
        )


def _fps(
    detector: TrainedDetector, size: Resolution, latencies: Sequence[MeasuredLatency]
) -> float | None:
    tuned = detector.trial is not None and keys.is_of_finetuning(detector.result.weights.key)
    if detector.baseline is not None:
        return None
    for one in latencies:
        if (one.trial, one.finetuned, one.resolution) == (detector.trial, tuned, size):
            return 1000 / one.milliseconds
    return None


def _latencies(
    search: StoredSearch,
    state: SearchState,
    entries: Sequence[LedgerEntry],
    benchmarks: Iterable[Benchmark],
) -> list[MeasuredLatency]:
    given = tuple(benchmarks)
    exports = stored_exports(search, state, entries) if given else []
    return [one for each in given for one in benchmarked_latencies(each, exports)[0]]


def _front(state: SearchState, scorer: Scorer) -> tuple[FrontFigures, ...]:
    base = _base_flops(scorer)
    return tuple(
        FrontFigures(map=one.map, relative_flops=one.flops / base)
        for one in pareto_front(detectors_of(state))
    )


def _base_flops(scorer: Scorer) -> int:
    """FLOPs of the base where its own H is highest."""
    return max(scorer.scored, key=lambda one: one.h).flops


def _curve(entries: Iterable[LedgerEntry]) -> tuple[float, ...]:
    best, curve = float("-inf"), []
    for entry in entries:
        best = best if entry.h is None else max(best, entry.h)
        if best > float("-inf"):
            curve.append(best)
    return tuple(curve)


def _student_iterations(
    search: StoredSearch, state: SearchState, entries: Iterable[LedgerEntry]
) -> int:
    if search.requests.spec.searches_pool:
        return 0
    folders = (keys.trial_folder(search.requests.search, entry.index) for entry in entries)
    trained = [load_record(search.store, keys.result_key(one), DetectorResult) for one in folders]
    tunings = state.final_stages.tunings if state.final_stages is not None else ()
    tuned = [job.result for job in tunings if isinstance(job.result, DetectorResult)]
    return sum(one.iterations for one in (*trained, *tuned) if one is not None)
