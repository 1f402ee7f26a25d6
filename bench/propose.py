"""Time of one proposal after a long search: the aim is 10 ms after 10,000 finished trials.

    python bench/propose.py [--trials 9999] [--parallelism 8] [--selection Shrunk]

The search is driven by `propose` itself, on R101 in the paper's teacher space, with random scores.
The crowded case is one parent whose every step was tried. Times are
CPU times: a proposal waits for nothing.
"""

import argparse
import time
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median, quantiles

from detnas.ledger import LedgerEntry, Summary, fold, ledger_entry
from detnas.ledger.estimates import with_estimates
from detnas.ledger.summary import Tried, tried
from detnas.records.artifacts import Artifact
from detnas.records.proposal import Proposal
from detnas.records.results import DetectorResult, Score
from detnas.records.settings import DetectorShape
from detnas.score import ResolutionScore, Scorer
from detnas.search import SearchEnd, propose
from detnas.spec.base import Model, model_architecture
from detnas.spec.manifest import PAPER_RESOLUTIONS
from detnas.spec.search import MAX_TRIALS, Search, Selection
from detnas.teachers import TeacherSpace

SPACE = TeacherSpace()
BASE = Scorer(
    architecture=model_architecture(Model.R101),
    detector=DetectorShape(),
    classes=80,
    base_resolution=PAPER_RESOLUTIONS[-1],
    alpha=0.4,
    beta=0.8,
)
START = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "0" * 64
AIM = 10.0


def main() -> None:
    arguments = _arguments()
    settings = Search(
        trials=MAX_TRIALS,
        patience=1_000_000,
        parallelism=arguments.parallelism,
        selection=arguments.selection,
    )
    began = time.perf_counter()
    entries, in_flight = _searched(settings, arguments.trials)
    print(f"{len(entries)} trials decided and folded in {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    summary = fold(Summary(top_k=settings.max_parents), entries)
    print(f"folded again, as at a restart, in {time.perf_counter() - began:.2f} s")
    print(f"the summary has {len(summary.model_dump_json()) / 1e6:.2f} MB as JSON")
    _report("a proposal", settings, summary, in_flight)
    crowded = settings.model_copy(update={"top_k": 1, "warmup_trials": 0})
    _report("a proposal, everything tried", crowded, *_crowded(crowded))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=MAX_TRIALS - 1)
    parser.add_argument("--parallelism", type=int, default=8)
    parser.add_argument("--selection", type=Selection, default=Selection.OBSERVED)
    return parser.parse_args()


def _searched(settings: Search, trials: int) -> tuple[list[LedgerEntry], list[Proposal]]:
    summary, random = Summary(top_k=settings.max_parents), Random(0)
    template = ledger_entry(_next(settings, summary, []), _result(), BASE)
    entries: list[LedgerEntry] = []
    in_flight: list[Proposal] = []
    while len(entries) < trials:
        while len(in_flight) < settings.parallelism:
            in_flight.append(_next(settings, summary, in_flight))
        ended = in_flight.pop(random.randrange(len(in_flight)))
        scores = tuple(_drawn(score, random.uniform(0.3, 0.45)) for score in template.scores)
        if ended.prior is not None:
            scores = with_estimates(scores, ended.prior)
        entries.append(template.model_copy(update={"proposal": ended, "scores": scores}))
        summary = fold(summary, entries[-1:])
    return entries, in_flight


def _drawn(score: ResolutionScore, mean_ap: float) -> ResolutionScore:
    h = score.h / score.map * mean_ap
    return score.model_copy(update={"map": mean_ap, "h": h, "map_error": 0.004})


def _crowded(settings: Search) -> tuple[Summary, list[Proposal]]:
    """One possible parent and every step from it."""
    first = ledger_entry(_next(settings, Summary(top_k=1), []), _result(), BASE)
    summary = fold(Summary(top_k=1), [first])
    in_flight: list[Proposal] = []
    seen: set[Tried] = set()
    while True:
        found = _next(settings, summary, in_flight)
        if tried(found) in seen:
            return summary, in_flight
        seen.add(tried(found))
        in_flight.append(found)


def _next(settings: Search, summary: Summary, in_flight: list[Proposal]) -> Proposal:
    found = propose(settings, SPACE, BASE, summary, in_flight)
    if isinstance(found, SearchEnd):
        raise SystemExit(found.message)
    return found


def _result() -> DetectorResult:
    scores = tuple(
        Score(
            resolution=resolution,
            map=0.4,
            ap50=0,
            ap75=0,
            ap_small=0,
            ap_medium=0,
            ap_large=0,
        )
        for resolution in PAPER_RESOLUTIONS
    )
    return DetectorResult(
        started=START,
        finished=START + timedelta(minutes=1),
        architecture=BASE.architecture,
        scores=scores,
        files={"weights": Artifact(key=f"{DIGEST}.safetensors", size=1, sha256=DIGEST)},
    )


def _report(name: str, settings: Search, summary: Summary, in_flight: list[Proposal]) -> None:
    times = []
    for seed in range(200):
        seeded = settings.model_copy(update={"seed": seed})
        began = time.process_time()
        _next(seeded, summary, in_flight)
        times.append(1000 * (time.process_time() - began))
    worst = quantiles(times, n=20)[-1]
    print(
        f"{name}: median {median(times):.2f} ms, 95 % within {worst:.2f} ms; "
        f"aim {AIM:.0f} ms: {'met' if worst <= AIM else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
