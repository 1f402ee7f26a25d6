"""What has changed in a data set since its search was prepared, as clauses for people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detnas.data_identity.files import annotation_file, find_image, image_folder
from detnas.data_identity.listing import Report
from detnas.errors import UserError
from detnas.records.artifacts import ImageListing, ListedImage
from detnas.records.settings import ALL_SPLITS, SPLITS, DataLocation, Split
from detnas.store.durable_files import sha256_of

_NAMES: Mapping[Split, str] = {"train": "training", "val": "validation", "test": "test"}
_REMEDY = "restore the old data, or give the search another metadata.name to search the new data"


class DataChangedError(UserError):
    """The data set is not the one that the search was prepared with."""


@dataclass(frozen=True)
class PreparedData:
    """What the prepare job saw of a data set.

    Attributes:
        annotations: SHA-256 of the training, the validation and, if there are any, the test
            annotations; empty if they are unknown.
        listing: of the images; None in records of an earlier version.
    """

    annotations: tuple[str, ...] = ()
    listing: ImageListing | None = None

    def files(self, location: DataLocation, splits: Sequence[Split] = SPLITS) -> Iterator[Path]:
        """Yield the files that are compared."""
        for split, _ in self.digests(splits):
            yield annotation_file(location, split)
        for split in splits:
            folder = image_folder(location, split)
            yield from (find_image(folder, name) for name in self.images(split))

    def digests(self, splits: Sequence[Split]) -> list[tuple[Split, str]]:
        """Return the annotations' digest of each split for which it is known."""
        known = zip(ALL_SPLITS, self.annotations, strict=False)
        return [(split, digest) for split, digest in known if split in splits]

    def images(self, split: Split) -> Mapping[str, ListedImage]:
        """Return the images of a split, if they are known."""
        if self.listing is None:
            return {}
        found: Mapping[str, ListedImage] = getattr(self.listing, split)
        return found


def data_changed(changes: Sequence[str], since: str = "the search began") -> DataChangedError:
    """Return the error that names changes and says what to do."""
    return DataChangedError(f"the data has changed since {since}: {'; '.join(changes)}", _REMEDY)


def data_changes(
    seen: PreparedData,
    location: DataLocation,
    splits: Sequence[Split] = SPLITS,
    report: Report = lambda done, total: None,
) -> list[str]:
    """Return what differs from what was seen, a clause for each; empty if nothing does.

    ``report`` is called with the number of images compared so far, and of all.

    Raises:
        OSError: a file exists but cannot be read.
    """
    found = []
    for split, digest in seen.digests(splits):
        path = annotation_file(location, split)
        if change := file_change(path, digest):
            found.append(f"the {_NAMES[split]} annotations {path} {_verb(change, 2)}")
    for split in splits:
        found += _image_changes(seen.images(split), split, location, report)
    return found


def file_change(path: Path, digest: str) -> str:
    """Return ``gone`` or ``changed`` for a file whose SHA-256 was another; else nothing."""
    try:
        return "" if sha256_of(path) == digest else "changed"
    except (FileNotFoundError, NotADirectoryError):
        return "gone"
    except IsADirectoryError:
        return "changed"


def _image_changes(
    known: Mapping[str, ListedImage], split: Split, location: DataLocation, report: Report
) -> Iterator[str]:
    folder = image_folder(location, split)
    changed: dict[str, list[Path]] = {"gone": [], "changed": []}
    for done, (name, image) in enumerate(known.items(), 1):
        path = find_image(folder, name)
        if change := _image_change(path, image):
            changed[change].append(path)
        report(done, len(known))
    for change, paths in changed.items():
        if paths:
            count = f"{len(paths)} of {len(known)} {_NAMES[split]} images"
            yield f"{count} {_verb(change, len(paths))} (first {paths[0]})"


def _image_change(path: Path, image: ListedImage) -> str:
    size, digest = image
    try:
        if path.stat().st_size != size:
            return "changed"
    except (FileNotFoundError, NotADirectoryError):
        return "gone"
    return file_change(path, digest) if digest else ""


def _verb(change: str, count: int) -> str:
    if change == "gone":
        return "are gone" if count > 1 else "is gone"
    return "have changed" if count > 1 else "has changed"
