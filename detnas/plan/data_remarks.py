"""What people should know of a data set that has been accepted: what training will not see."""

from collections.abc import Iterator, Mapping

from detnas.records.results import PrepareResult, SplitSummary

_NAMED = 5


def data_remarks(prepared: PrepareResult) -> tuple[str, ...]:
    """Return a line for each split that has ignored, clipped or assumed boxes."""
    splits = {"train": prepared.train, "val": prepared.val, "test": prepared.test}
    return split_remarks({name: split for name, split in splits.items() if split})


def split_remarks(splits: Mapping[str, SplitSummary]) -> tuple[str, ...]:
    """Return the same for splits that are no prepare job's.

    Args:
        splits: what each holds, by its name.
    """
    remarks = {name: "; ".join(_remarks(split)) for name, split in splits.items()}
    return tuple(f"{name}: {remark}" for name, remark in remarks.items() if remark)


def _remarks(split: SplitSummary) -> Iterator[str]:
    if ignored := split.too_small + split.outside + split.marked:
        kinds = {
            "below one pixel": split.too_small,
            "outside their images": split.outside,
            "marked with ignore": split.marked,
        }
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
        yield f"boxes ignored: {ignored} of {split.boxes + ignored} ({found})"
    if split.clipped:
        yield f"boxes clipped at the image's border: {split.clipped}"
    if split.crowds:
        yield f"boxes for crowds, which are not learnt: {split.crowds}"
    if split.empty_images:
        yield f"images without boxes: {split.empty_images} of {split.images}"
    if split.classes_without_boxes:
        yield f"classes without boxes: {_few(split.classes_without_boxes)}"
    if split.turned_images:
        yield (
            f"images turned or mirrored by EXIF orientation: {split.turned_images} (boxes are "
            "taken as on the displayed image)"
        )


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
