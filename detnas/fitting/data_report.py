"""What `detnas init` says of a data set, a line each."""

from collections.abc import Iterator

from detnas.fitting.fit import Fit
from detnas.fitting.sizes import object_pixels
from detnas.own_data.facts import DataFacts
from detnas.own_data.source import OwnData
from detnas.own_data.unmatched import labels_without_images, unlisted_images
from detnas.plan.data_remarks import split_remarks
from detnas.records.look import LookAnswer

_NAMED = 10
_TINY_PIXELS = 8
_HUGE_SHARE = 0.9
_FEW_BOXES = 20
"""Boxes of a class below which little is learnt of it."""


def data_report(
    own: OwnData, facts: DataFacts, found: Fit, answer: LookAnswer | None
) -> Iterator[str]:
    """Yield what the data set holds, what is odd in it, and what was decided.

    Args:
        own: the data set.
        facts: measured of it.
        found: the manifest's values.
        answer: of the trainer; None if it was not asked.
    """
    yield f"{own.form}: {own.root}"
    yield from own.notes
    for split, images in facts.images.items():
        yield f"  {split}: {images} images, {facts.boxes[split]} boxes"
    counts = [f"{name} {count}" for name, count in facts.class_boxes.items()]
    more = f" and {len(counts) - _NAMED} more" if len(counts) > _NAMED else ""
    yield f"  {len(counts)} classes (training boxes): {', '.join(counts[:_NAMED])}{more}"
    sizes = f"{_size(facts.smallest)} to {_size(facts.largest)}"
    yield f"  images: {_size(facts.size)} (median), {sizes}"
    yield (
        f"  objects: {facts.pixels.p5:.0f} to {facts.pixels.p95:.0f} pixels (5 to 95 %), median "
        f"{facts.pixels.p50:.0f}; {facts.per_image.p50:.0f} in an image (median)"
    )
    yield from (f"  note: {line}" for line in _oddities(own, facts, found))
    if answer is None:
        yield "  note: images were not read and no step was timed; `detnas run` checks them first"
    else:
        yield from (f"  note: {line}" for line in split_remarks(answer.splits))
    yield from _decided(found)


def _oddities(own: OwnData, facts: DataFacts, found: Fit) -> Iterator[str]:
    base = found.resolutions[-1]
    tiny = object_pixels(facts.sides.p10, base)
    if tiny < _TINY_PIXELS:
        yield (
            f"a tenth of the objects or more are tiny: below {tiny:.1f} pixels at {base}; larger "
            "images, or tiles of them, would show more"
        )
    if facts.sides.p90 > _HUGE_SHARE:
        yield "a tenth of the objects or more fill their images; a classifier may be what you need"
    rare = [name for name, count in facts.class_boxes.items() if count < _FEW_BOXES]
    if rare:
        named = ", ".join(rare[:_NAMED]) + (" …" if len(rare) > _NAMED else "")
        yield f"classes with fewer than {_FEW_BOXES} training boxes: {len(rare)}: {named}"
    if unlisted := unlisted_images(own):
        yield (
            f"images that no annotation file lists, and that are not used: {len(unlisted)}, "
            f"first {unlisted[0]}"
        )
    if orphans := labels_without_images(own):
        yield f"files of labels whose image is missing: {len(orphans)}, first {orphans[0]}"


def _decided(found: Fit) -> Iterator[str]:
    lengths = found.lengths
    yield (
        f"{found.chosen.model} base at {', '.join(map(str, found.resolutions))}; "
        f"base {lengths.base} epochs, {lengths.trials} trials of {lengths.trial}, fine-tuning "
        f"{lengths.finetune}"
    )
    how = "timed" if found.machine.seconds_per_image else "guessed"
    yield f"about {lengths.seconds / 60:.0f} minutes on {found.machine.name} ({how})"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
