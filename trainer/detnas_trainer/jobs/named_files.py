"""Files that a manifest names beside its data set, as local files."""

from pathlib import Path

from detnas.errors import UserError
from detnas.store import open_store
from detnas.store.errors import NotFound
from detnas.weights_file import WeightsFileError, check_address


def local_file(address: str, scratch: Path, field: str, remedy: str) -> Path:
    """A local file for what a path or a URI names; nothing of its content is checked.

    Args:
        address: the path or URI.
        scratch: folder for a copy of what a URI names.
        field: of the manifest, for messages.
        remedy: what to give if it does not exist.

    Raises:
        UserError: it cannot be fetched.
    """
    try:
        check_address(address)
    except WeightsFileError as error:
        raise UserError(f"{field}: {error.problem}", error.remedy) from error
    if "://" not in address:
        return Path(address)
    folder, _, name = address.rpartition("/")
    path = scratch / name
    try:
        open_store(folder).download_file(name, path)
    except NotFound as error:
        raise UserError(f"{field}: {address} does not exist", remedy) from error
    return path
