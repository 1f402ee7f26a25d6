"""Makes the listing of a data set's images: all sizes, and the digests of all or of a sample.

Hashing reads a data set once, which is little compared with training on it, but too much for a
large one before every short trial. If it has more than a gibibyte, only a sample is hashed: about
128 MiB, chosen by the names alone, so that every process chooses the same.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from detnas.data_identity.files import find_image, image_folder
from detnas.records.artifacts import Artifact, ImageListing
from detnas.records.settings import ALL_SPLITS, DataLocation, Split
from detnas.store import Store
from detnas.store.artifacts import fetch_artifact
from detnas.store.durable_files import sha256_of
from detnas.store.record_format import decode_record

Report = Callable[[int, int], None]
"""Called with the number of files done and of all; may raise to stop."""

MAX_FULLY_HASHED_BYTES = 1 << 30
"""Bytes of images up to which every image is hashed."""

SAMPLE = 128 << 20
"""Bytes of a larger data set that are hashed, to the next complete image."""

_Key = tuple[Split, str]


def list_images(
    location: DataLocation,
    names: Mapping[Split, Iterable[str]],
    report: Report = lambda done, total: None,
) -> ImageListing:
    """Return the listing of the images of some splits of a data set.

    ``report`` is called with the number of images hashed so far, and of all.

    Raises:
        OSError: an image cannot be read.
    """
    paths = {
        (split, name): find_image(image_folder(location, split), name)
        for split in ALL_SPLITS
        for name in sorted(names.get(split, ()))
    }
    sizes = {key: path.stat().st_size for key, path in paths.items()}
    digests = _digests({key: paths[key] for key in _hashed(sizes)}, report)
    found: dict[Split, dict[str, tuple[int, str]]] = {split: {} for split in ALL_SPLITS}
    for (split, name), size in sizes.items():
        found[split][name] = (size, digests.get((split, name), ""))
    return ImageListing(train=found["train"], val=found["val"], test=found["test"])


def load_listing(store: Store, artifact: Artifact | None) -> ImageListing | None:
    """Return the listing that a record names; None in records of an earlier version.

    Raises:
        StoreError: it is missing or damaged.
    """
    if artifact is None:
        return None
    content = fetch_artifact(store, artifact).read_bytes()
    return decode_record(content, f"{store.uri}/{artifact.key}", ImageListing)


def _hashed(sizes: Mapping[_Key, int]) -> list[_Key]:
    if sum(sizes.values()) <= MAX_FULLY_HASHED_BYTES:
        return list(sizes)
    chosen, total = [], 0
    for key in sorted(sizes, key=_rank):
        if total >= SAMPLE:
            break
        chosen.append(key)
        total += sizes[key]
    return chosen


def _rank(key: _Key) -> bytes:
    return hashlib.sha256("/".join(key).encode()).digest()


def _digests(paths: Mapping[_Key, Path], report: Report) -> dict[_Key, str]:
    digests = {}
    for done, (key, path) in enumerate(paths.items(), 1):
        digests[key] = sha256_of(path)
        report(done, len(paths))
    return digests
