"""The least manifest, and changes to a manifest that are wrong."""

import copy
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
REMOVED = object()

MINIMAL: Document = {
    "apiVersion": "detnas.dev/v1alpha1",
    "kind": "DetNASSearch",
    "metadata": {"name": "r50"},
    "spec": {
        "base": {"model": "faster-rcnn-r50-fpn", "train": {"epochs": 24}},
        "dataset": {
            "source": {"directory": "coco"},
            "train": "annotations/instances_train2017.json",
            "val": "annotations/instances_val2017.json",
        },
    },
}


def changed(path: str, value: object, manifest: Document = MINIMAL) -> Document:
    """A manifest with one field set, or removed; sections on the way are made."""
    result = copy.deepcopy(manifest)
    *parents, last = path.split(".")
    target = result
    for part in parents:
        target = target.setdefault(part, {})
    if value is REMOVED:
        del target[last]
    else:
        target[last] = value
    return result


@dataclass(frozen=True, slots=True)
class Wrong:
    """One field that is wrong.

    Attributes:
        path: of the field that is changed.
        value: what it is changed to.
        field: path that the refusal names, or the beginning of it.
        said: words in the refusal that say what would be right, in any case of letters.
        server: such words of the API server, where it can not say the same.
    """

    path: str
    value: object
    field: str
    said: str
    server: str = ""

    @property
    def manifest(self) -> Document:
        """The whole wrong manifest."""
        return changed(self.path, self.value)


def wrong(path: str, value: object, said: str, server: str = "") -> Wrong:
    return Wrong(path, value, path, said, server)
