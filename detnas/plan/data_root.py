"""Where a job finds the data set: a folder of this machine, of its pod, or a place in S3."""

from pathlib import Path

from detnas.errors import UserError
from detnas.spec.dataset import DataSource

MOUNT = "/data"
"""Where a job's pod sees the volume of the data set."""


def data_root(source: DataSource, folder: Path | None) -> str:
    """Return the root that every path of the data set is relative to.

    Args:
        source: what the manifest says.
        folder: the manifest's folder on this machine; none for a job in a pod.

    Raises:
        UserError: the manifest names no place that can be seen from there.
    """
    if folder is not None:
        if source.directory is None:
            raise UserError(
                "spec.dataset.source.directory is missing, and this machine sees no volume",
                "name the folder here that holds the data set; a cluster leaves it unread",
            )
        return str((folder / source.directory).absolute())
    if source.s3 is not None:
        return source.s3.rstrip("/")
    if source.persistent_volume_claim is not None:
        path = source.persistent_volume_claim.path.strip("/")
        return f"{MOUNT}/{path}" if path else MOUNT
    raise UserError(
        "spec.dataset.source names no place that a cluster sees",
        "name a persistentVolumeClaim or an s3:// URI that holds the data set",
    )
