"""Copies of objects, also from one store to another."""

import tempfile
from pathlib import Path

from detnas.records.artifacts import Artifact
from detnas.store.base import Store


def copy_between(source: Store, key: str, target: Store, artifact: Artifact) -> None:
    """Copy an object to where an artifact says, unless it is there.

    Raises:
        NotFound: there is no such object.
    """
    if target.size(artifact.key) == artifact.size:
        return
    if source.uri == target.uri:
        target.copy(key, artifact.key)
        return
    with tempfile.TemporaryDirectory(prefix="detnas-") as folder:
        path = Path(folder) / "object"
        source.download_file(key, path)
        target.upload_file(artifact.key, path)
