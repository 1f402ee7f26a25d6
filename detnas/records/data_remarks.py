"""What people should know of a data set that has been accepted: what training will not see."""

from collections.abc import Iterator

from detnas.records.results import PrepareResult, SplitSummary

_NAMED = 5


def data_remarks(prepared: PrepareResult) -> tuple[str, ...]:
    """Say in a line for each split what is passed over, clipped or assumed; no line for nothing."""
    splits = {"train": prepared.train, "val": prepared.val}
    remarks = {name: "; ".join(_remarks(split)) for name, split in splits.items() if split}
    return tuple(f"{name}: {remark}" for name, remark in remarks.items() if remark)


def _remarks(split: SplitSummary) -> Iterator[str]:
    if ignored := split.too_small + split.outside + split.marked:
        kinds = {
            "below one pixel": split.too_small,
            "outside their images": split.outside,
            "marked with ignore": split.marked,
        }
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
        yield f"{ignored} of {split.boxes + ignored} boxes are ignored ({found})"
    if split.clipped:
        yield f"{_count(split.clipped, 'box', 'boxes')} clipped at the image's border"
    if split.crowds:
        yield f"{_count(split.crowds, 'box', 'boxes')} for crowds, which are not learnt"
    if split.empty_images:
        yield f"{split.empty_images} of {split.images} images have no boxes"
    if split.classes_without_boxes:
        yield f"no boxes of {_few(split.classes_without_boxes)}"
    if split.turned_images:
        yield (
            f"{_count(split.turned_images, 'image', 'images')} displayed turned or mirrored by "
            "EXIF orientation: boxes are taken as on the displayed image"
        )


def _count(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more classes" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
