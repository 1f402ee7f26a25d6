"""Writes what the arms of a plan reach, and by how much the first leads, as Markdown and JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detnas.reproduction.figures import (
    DetectorFigures,
    Role,
    SearchFigures,
    SizeFigures,
    write_text,
)
from detnas.reproduction.plan import Arm
from detnas.reproduction.statistics import Mean, dominated_area, mean
from detnas.reproduction.writing import FinishedSearches, failures, rows_of, with_error

Seeds = Mapping[int, tuple[SearchFigures, DetectorFigures]]
"""An arm's detectors, by seed, each with its search."""

_MISSING = "–"
_HEAD = """# What each arm reaches

Values are means over seeds, ± the standard error over them. Detectors and their sizes were chosen
on the validation images; "unseen" is measured on the test images, which decided nothing. Relative
FLOPs are C ∕ C_base at the base resolution. The area under the front is the mean, over budgets up
to the base's FLOPs, of the best validation mAP at that budget. Iterations are the training steps of
all students of the search."""
_DIFFERENCES = """## {reference} less the others

Paired by seed; intervals are at 95 %, by Student's t. One that has 0 in it separates nothing: then
the last column says about how many seeds would, if mean and spread stayed as they are."""


def write_arms(
    folder: Path, arms: Sequence[Arm], finished: FinishedSearches, failed: Mapping[str, str]
) -> tuple[Path, Path]:
    """Write ``arms.md`` and ``arms.json`` in place of earlier ones; return their paths.

    Args:
        folder: for both files.
        arms: what is compared, the others with the first.
        finished: searches by their names, once for each seed.
        failed: messages of the searches that failed, by their names.

    Raises:
        UserError: a file cannot be written.
    """
    seeds = {arm.name: _seeds(arm, finished) for arm in arms}
    pages = [_HEAD, _reached(arms, seeds), _by_size(arms, seeds)]
    if len(arms) > 1:
        head = _DIFFERENCES.format(reference=arms[0].name)
        pages += [head, _leads(arms, seeds)]
    costs = _costs(finished)
    page = "\n\n".join([*pages, costs, *failures(failed)]) + "\n"
    document = {
        "arms": [_as_json(arm, arms[0], seeds) for arm in arms],
        "failed": dict(failed),
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    return write_text(folder / "arms.md", page), write_text(folder / "arms.json", text)


def _seeds(arm: Arm, finished: FinishedSearches) -> Seeds:
    searches = finished.get(arm.search, ())
    return {
        one.seed: (one, one.detectors[arm.detector])
        for one in searches
        if arm.detector in one.detectors
    }


def _reached(arms: Sequence[Arm], seeds: Mapping[str, Seeds]) -> str:
    heads = ["arm", "seeds", "unseen H", "unseen mAP", "H", "mAP", "relative FLOPs"]
    lines = [[*heads, "area under the front", "iterations"]]
    lines.append(["---"] * len(lines[0]))
    for arm in arms:
        found = seeds[arm.name].values()
        detectors = [one for _, one in found]
        tested = [one.test[0] for one in detectors if one.test]
        here = [_chosen(one) for one in detectors]
        searched = [one for one, _ in found if arm.detector is Role.EXPORTED]
        lines.append(
            [
                *(arm.name, str(len(found))),
                with_error([one.h for one in tested], 4),
                with_error([100 * one.map for one in tested], 2),
                with_error([one.h for one in here], 4),
                with_error([100 * one.map for one in here], 2),
                with_error([one.relative_flops for one in detectors], 3),
                with_error([100 * dominated_area(one.front) for one in searched], 2),
                with_error([float(one.student_iterations) for one in searched], 0),
            ]
        )
    return rows_of(lines)


def _chosen(detector: DetectorFigures) -> SizeFigures:
    here = detector.at(None)
    assert here is not None, "its best size is one of its sizes"
    return here


def _by_size(arms: Sequence[Arm], seeds: Mapping[str, Seeds]) -> str:
    """MAP at every size, on the validation images; on the unseen ones where it was measured."""
    found = [one for arm in seeds.values() for _, one in arm.values()]
    sizes = sorted(
        {size.resolution for one in found for size in (*one.validation, *one.test)},
        key=lambda size: size.pixels,
    )
    lines = [["mAP at", *(f"{size}{kind}" for size in sizes for kind in ("", ", unseen"))]]
    lines.append(["---"] * len(lines[0]))
    for arm in arms:
        detectors = [one for _, one in seeds[arm.name].values()]
        cells = [
            with_error(_maps(one for one in scored if one.resolution == size), 2)
            for size in sizes
            for scored in (
                [each for one in detectors for each in one.validation],
                [each for one in detectors for each in one.test],
            )
        ]
        lines.append([arm.name, *cells])
    return rows_of(lines)


def _maps(scored: Iterable[SizeFigures]) -> list[float]:
    return [100 * one.map for one in scored]


def lead(reference: Seeds, other: Seeds) -> tuple[Mean, bool] | None:
    """The difference of H, paired by seed, and whether it is on unseen images; None without any."""
    both = sorted(reference.keys() & other.keys())
    pairs = [(reference[seed][1], other[seed][1]) for seed in both]
    unseen = bool(pairs) and all(one.test and two.test for one, two in pairs)
    if not pairs:
        return None
    if unseen:
        return mean([one.test[0].h - two.test[0].h for one, two in pairs]), True
    return mean([_chosen(one).h - _chosen(two).h for one, two in pairs]), False


def _leads(arms: Sequence[Arm], seeds: Mapping[str, Seeds]) -> str:
    lines = [["less", "pairs", "difference of H", "95 % interval", "images", "verdict"]]
    lines.append(["---"] * len(lines[0]))
    for arm in arms[1:]:
        found = lead(seeds[arms[0].name], seeds[arm.name])
        if found is None:
            lines.append([arm.name, "0", *[_MISSING] * 4])
            continue
        difference, unseen = found
        low, high = difference.interval
        interval = _MISSING if difference.count < 2 else f"{low:+.4f} to {high:+.4f}"
        images = "unseen" if unseen else "selected on these"
        size = f"{difference.value:+.4f}"
        verdict = _verdict(difference, arms[0].name)
        lines.append([arm.name, str(difference.count), size, interval, images, verdict])
    return rows_of(lines)


def _verdict(difference: Mean, reference: str) -> str:
    if difference.is_separated:
        return f"{reference} is {'better' if difference.value > 0 else 'worse'}"
    needed = difference.seeds_to_separate
    return "not separated" if needed is None else f"not separated: about {needed} seeds would"


def _costs(finished: FinishedSearches) -> str:
    """Processor or GPU hours, by part; the pool's once, since searches share it."""
    lines = [["hours of", "base", "trials", "fine-tuning", "baselines"]]
    lines.append(["---"] * len(lines[0]))
    for name, searches in finished.items():
        costs = [one.cost for one in searches]
        parts = [
            [one.base.gpu_days for one in costs],
            [one.trials.gpu_days for one in costs],
            [one.finetune.gpu_days for one in costs],
            [one.baselines.gpu_days for one in costs],
        ]
        lines.append([name, *(with_error([24 * day for day in part], 2) for part in parts)])
    pool = max((one.cost.pool.gpu_days for each in finished.values() for one in each), default=0)
    title = "## Cost\n\nIn hours of a GPU, or of a job on processor cores, for each seed."
    return "\n\n".join([title, rows_of(lines), f"The pool, once for all: {24 * pool:.2f} hours."])


def _as_json(arm: Arm, reference: Arm, seeds: Mapping[str, Seeds]) -> dict[str, Any]:
    found = lead(seeds[reference.name], seeds[arm.name])
    difference: dict[str, Any] | None = None
    if arm != reference and found is not None:
        low, high = found[0].interval
        known = found[0].count > 1
        difference = {"h": found[0].value, "pairs": found[0].count, "unseen": found[1]}
        difference |= {"low": low, "high": high} if known else {}
    return {
        "name": arm.name,
        "search": arm.search,
        "detector": arm.detector,
        "seeds": {
            str(seed): detector.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            for seed, (_, detector) in seeds[arm.name].items()
        },
        "referenceLess": difference,
    }
