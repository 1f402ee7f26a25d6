"""What a whole search gains over its base, where the base is trained on for as long.

    python bench/gain.py --seeds 0 1 2 [--manifest examples/digits/search.yaml] [--to FILE.json]

For each seed: the search is run, with the base trained on for as long as the winner's lineage among
its baselines (spec.baselines); both are compared at every resolution. A second call resumes where
the first stopped.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import yaml

from detnas.architecture import encode
from detnas.ledger.entry import LedgerEntry, lineage
from detnas.ledger.history import read_entries
from detnas.lifecycle.reading.state import SearchReader
from detnas.records import keys
from detnas.records.requests import ExportRequest, StudentRequest
from detnas.records.results import DetectorResult
from detnas.runner.opening import OpenedSearch, Overrides, open_search
from detnas.score import ResolutionScore, Scorer, best
from detnas.spec.baselines import Baseline
from detnas.store.artifacts import load_record

R = TypeVar("R", ExportRequest, StudentRequest)
CONTINUED = f"baselines/{Baseline.CONTINUED_BASE.folder}"


@dataclass(frozen=True)
class Gain:
    """One seed's outcome; mAP and FLOPs by resolution."""

    seed: int
    minutes: float
    lineage_epochs: int
    actions: list[str]
    base: dict[str, float]
    trained_on: dict[str, float]
    student: dict[str, float]
    h_base: float
    h_trained_on: float
    h_student: float
    flops_share: float
    encoding: str


def main() -> None:
    arguments = _arguments()
    gains = [measure(arguments.manifest, seed, arguments.store) for seed in arguments.seeds]
    for gain in gains:
        _print(gain)
    if arguments.to:
        arguments.to.write_text(
            json.dumps([asdict(gain) for gain in gains], indent=2) + "\n", encoding="utf-8"
        )


def measure(manifest: Path, seed: int, store: Path) -> Gain:
    """Run one search and its counterpart."""
    seeded = _seeded(manifest, seed, store)
    start = time.monotonic()
    detnas = Path(sys.executable).with_name("detnas")
    subprocess.run([detnas, "run", seeded, "--store", store], check=True)
    minutes = (time.monotonic() - start) / 60
    search = open_search(seeded, Overrides(store=str(store)))
    if Baseline.CONTINUED_BASE not in search.requests.spec.baselines:
        raise SystemExit(f"{manifest}: spec.baselines lacks {Baseline.CONTINUED_BASE}; add it")
    export = _record(search, "students/best", ExportRequest)
    if export.is_base:
        raise SystemExit(f"seed {seed}: no student is better than the base")
    chain, finetuned = _lineage(search, export)
    scorer = _scorer(search)
    trained_on = scorer.score(scorer.architecture, _result(search, CONTINUED).scores).scores
    student = scorer.score(
        export.architecture, _winner(search, chain, finetuned=finetuned).scores
    ).scores
    return Gain(
        seed=seed,
        minutes=round(minutes, 1),
        lineage_epochs=_record(search, CONTINUED, StudentRequest).training.epochs,
        actions=[str(e.proposal.action.kind) for e in chain if e.proposal.action],
        base=_maps(scorer.scored),
        trained_on=_maps(trained_on),
        student=_maps(student),
        h_base=best(scorer.scored).h,
        h_trained_on=best(trained_on).h,
        h_student=best(student).h,
        flops_share=scorer.flops_of(export.architecture, scorer.base_resolution) / scorer.flops,
        encoding=encode(export.architecture),
    )


def _seeded(manifest: Path, seed: int, store: Path) -> Path:
    """The manifest with another seed, its data set named absolutely; its own seed needs neither."""
    document = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    spec = document["spec"]
    if all(spec.get(part, {}).get("seed", 0) == seed for part in ("search", "teachers")):
        return manifest
    document["metadata"]["name"] += f"-seed-{seed}"
    spec.setdefault("search", {})["seed"] = seed
    spec.setdefault("teachers", {})["seed"] = seed
    source = spec["dataset"]["source"]
    source["directory"] = str((manifest.parent / source["directory"]).absolute())
    store.mkdir(parents=True, exist_ok=True)
    path = store / f"seed-{seed}.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def _scorer(search: OpenedSearch) -> Scorer:
    scorer = SearchReader(search.store, search.requests).read().scorer
    assert scorer is not None
    return scorer


def _lineage(search: OpenedSearch, export: ExportRequest) -> tuple[tuple[LedgerEntry, ...], bool]:
    """The winner's trials, and whether it was fine-tuned."""
    folder = search.requests.search
    entries = {e.index: e for e in read_entries(search.store, folder, _scorer(search))}
    parent, finetuned = export.weights, keys.is_of_finetuning(export.weights.key)
    if finetuned:
        parent = _record(search, "finetune", StudentRequest).parent_weights
    winner = next(e.index for e in entries.values() if e.weights == parent)
    return lineage(entries, winner), finetuned


def _winner(
    search: OpenedSearch, chain: tuple[LedgerEntry, ...], *, finetuned: bool
) -> DetectorResult:
    folder = "finetune" if finetuned else f"trials/{chain[-1].index:04d}"
    return _result(search, folder)


def _result(search: OpenedSearch, folder: str) -> DetectorResult:
    key = keys.result_key(f"{search.requests.search}/{folder}")
    result = load_record(search.store, key, DetectorResult)
    assert result is not None, f"{key} is missing"
    return result


def _record(search: OpenedSearch, folder: str, kind: type[R]) -> R:
    key = keys.request_key(f"{search.requests.search}/{folder}")
    record = load_record(search.store, key, kind)
    assert record is not None, f"{key} is missing"
    return record


def _maps(scored: tuple[ResolutionScore, ...]) -> dict[str, float]:
    return {str(one.resolution): round(one.map, 4) for one in scored}


def _print(gain: Gain) -> None:
    print(f"\nseed {gain.seed}: {gain.minutes} minutes, lineage of {gain.lineage_epochs} epochs")
    print(f"  actions {', '.join(gain.actions) or 'none'}; {gain.encoding}")
    print(f"  {'':16s}" + "".join(f"{size:>10s}" for size in gain.base) + f"{'H':>10s}")
    rows = (
        ("base", gain.base, gain.h_base),
        ("base trained on", gain.trained_on, gain.h_trained_on),
        ("student", gain.student, gain.h_student),
    )
    for name, maps, h in rows:
        print(f"  {name:16s}" + "".join(f"{m:10.4f}" for m in maps.values()) + f"{h:10.4f}")
    print(f"  FLOPs at equal resolution: {gain.flops_share - 1:+.1%}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--manifest", type=Path, default=Path("examples/digits/search.yaml"))
    parser.add_argument("--store", type=Path, default=Path("runs/gain"), help="folder of the runs")
    parser.add_argument("--to", type=Path, help="write the figures here as JSON, too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
