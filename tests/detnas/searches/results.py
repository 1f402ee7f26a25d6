"""A small search's manifest and plausible results of its jobs, for tests of pure decisions."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detnas.architecture import Architecture, parse
from detnas.plan.requests import SearchRequests
from detnas.records.artifacts import Artifact
from detnas.records.results import (
    DetectorResult,
    ExportResult,
    FinalTestResult,
    Outcome,
    PoolPhaseResult,
    PrepareResult,
    Score,
)
from detnas.spec.manifest import DetNASSearch

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEARCH = "local/searches/tiny-01234567"
ENCODING = "[(16, 16)-(16, 16)], [(32, 32)], [(64, 64)], [(64, 64)]"


def manifest(**spec: Any) -> DetNASSearch:
    """A manifest of two resolutions and two pool phases; keywords replace parts of its spec."""
    whole = {
        "base": {"architecture": ENCODING, "stem": 16, "train": {"epochs": 2}},
        "dataset": {"source": {"directory": "data"}, "train": "train.json", "val": "val.json"},
        "resolutions": ["64x64", "128x96"],
        "teachers": {
            "phases": [
                {"epochs": 2, "learningRate": "0.1"},
                {"epochs": 1, "learningRate": "0.05"},
            ]
        },
        "search": {"trials": 4},
        **spec,
    }
    return DetNASSearch.model_validate(
        {
            "apiVersion": "detnas.dev/v1alpha1",
            "kind": "DetNASSearch",
            "metadata": {"name": "tiny"},
            "spec": whole,
        }
    )


def requests(**spec: Any) -> SearchRequests:
    return SearchRequests(manifest(**spec), SEARCH, Path("/place/of/manifest"))


def architecture() -> Architecture:
    return parse(ENCODING, None, 16)


def artifact(name: str) -> Artifact:
    return Artifact(key=f"somewhere/{name}.safetensors", size=1, sha256="0" * 64)


def prepared(outcome: Outcome = Outcome.SUCCEEDED) -> PrepareResult:
    return PrepareResult(
        started=NOW, finished=NOW, outcome=outcome, digest="d" * 64, classes=("cat", "dog")
    )


def detector(
    name: str, maps: tuple[float, float] = (0.3, 0.4), outcome: Outcome = Outcome.SUCCEEDED
) -> DetectorResult:
    """A detector's result with these mAPs at the two resolutions."""
    scores = tuple(
        Score(
            resolution=resolution,
            map=mean_ap,
            ap50=0.5,
            ap75=0.5,
            ap_small=0.5,
            ap_medium=0.5,
            ap_large=0.5,
        )
        for resolution, mean_ap in zip(manifest().spec.resolutions, maps, strict=True)
    )
    return DetectorResult(
        started=NOW,
        finished=NOW,
        outcome=outcome,
        architecture=architecture(),
        scores=scores,
        files={"weights": artifact(name)},
    )


def phase(number: int, outcome: Outcome = Outcome.SUCCEEDED) -> PoolPhaseResult:
    return PoolPhaseResult(
        started=NOW, finished=NOW, outcome=outcome, files={"weights": artifact(f"phase-{number}")}
    )


def final_test(outcome: Outcome = Outcome.SUCCEEDED) -> FinalTestResult:
    return FinalTestResult(started=NOW, finished=NOW, outcome=outcome)


def export(outcome: Outcome = Outcome.SUCCEEDED) -> ExportResult:
    return ExportResult(started=NOW, finished=NOW, outcome=outcome)
