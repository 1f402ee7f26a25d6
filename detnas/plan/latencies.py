"""Latencies of a search's detectors: what exports measured, and `detnas bench` elsewhere."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from detnas.plan.recommendation import MeasuredLatency
from detnas.records.benchmark import Benchmark, BenchmarkedFile
from detnas.records.exports import ExportedFile
from detnas.records.results import ExportResult
from detnas.records.settings import Resolution


@dataclass(frozen=True, slots=True)
class FinishedExport:
    """A finished export of a search.

    Attributes:
        trial: of the exported detector; None for the base.
        finetuned: it is the trial's student after the fine-tuning.
        resolution: for which it was exported.
        result: of the export's job.
    """

    trial: int | None
    finetuned: bool
    resolution: Resolution
    result: ExportResult


def exported_latencies(exports: Iterable[FinishedExport]) -> Iterator[MeasuredLatency]:
    """Yield what the exports measured: of the base, each detector, and each of its files."""
    for export in exports:
        result = export.result
        base = (result.base_latency, result.base_latency_same_resolution)
        # Twice the same if the base is best at the student's resolution, or is what was exported.
        for latency in dict.fromkeys(base):
            if latency is not None:
                yield MeasuredLatency(**dict(latency))
        student = result.student_latency
        if student is not None and export.trial is not None:
            yield MeasuredLatency(trial=export.trial, finetuned=export.finetuned, **dict(student))
        for file in result.exported:
            if file.latency is not None:
                yield MeasuredLatency(
                    trial=export.trial,
                    finetuned=export.finetuned,
                    resolution=export.resolution,
                    device=file.latency.where,
                    milliseconds=file.latency.median,
                    file=file.path,
                    map=_map_on_all(file, result),
                    map_error=file.map_error,
                )


def _map_on_all(file: ExportedFile, result: ExportResult) -> float | None:
    """A file's mAP on all validation images, also if it was scored on some of them.

    What it loses there against the detector in mmdet is taken for what it loses on all.
    """
    return file.map if file.difference is None else result.map + file.difference


def benchmarked_latencies(
    benchmark: Benchmark, exports: Iterable[FinishedExport]
) -> tuple[list[MeasuredLatency], list[BenchmarkedFile]]:
    """Return the latencies of a benchmark, and its files that are none of the exports.

    A file is recognised by its content.
    """
    by_digest = {
        artifact.sha256: (export, role)
        for export in exports
        for role, artifact in export.result.files.items()
    }
    found, others = [], []
    for one in benchmark.files:
        if one.sha256 not in by_digest:
            others.append(one)
            continue
        export, role = by_digest[one.sha256]
        known = _exported_file(export.result, role)
        is_scored = known is not None and known.map is not None
        found.append(
            MeasuredLatency(
                trial=export.trial,
                finetuned=export.finetuned,
                resolution=export.resolution,
                device=one.latency.where,
                milliseconds=one.latency.median,
                file=one.file,
                # On the search's images, like that of other detectors; else on those of the bench.
                map=_map_on_all(known, export.result) if known and is_scored else one.map,
                map_error=known.map_error if known and is_scored else None,
            )
        )
    return found, others


def _exported_file(result: ExportResult, role: str) -> ExportedFile | None:
    """What the export states of a file; of an OpenVINO IR, `role` is its file of weights."""
    stem = role.removesuffix(".bin")
    return next((one for one in result.exported if one.path in (role, f"{stem}.xml")), None)
