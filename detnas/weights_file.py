"""What the base starts from, judged by its address and its first bytes: without torch."""

import re
from enum import StrEnum
from pathlib import Path
from zipfile import ZipFile

from detnas.errors import UserError


class WeightsFileError(UserError):
    """The base's initial weights are no checkpoint."""


class WeightsFormat(StrEnum):
    """How a checkpoint is stored; its name's suffix says nothing reliable."""

    ZIP = "torch.save, since PyTorch 1.6"
    LEGACY = "torch.save, before PyTorch 1.6"
    SAFETENSORS = "safetensors"


_SCHEMES = ("s3", "file")
_HEAD = 512
_SHOWN = 60
_LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
_MAX_HEADER_BYTES = 100_000_000  # of safetensors, by its specification

_AGAIN = "download the checkpoint again"
_ANOTHER = "give a checkpoint that mmdet or torch.save wrote, or a .safetensors file"
_UNPACK = "unpack it, and name the checkpoint inside"

_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (rb"\Z", "is empty", _AGAIN),
    (
        rb"version https://git-lfs",
        "is a pointer of Git LFS, not the checkpoint itself",
        "fetch the checkpoint with `git lfs pull`",
    ),
    (rb"(?i)(\xef\xbb\xbf)?\s*<", "is a web page or an XML document, not a checkpoint", _AGAIN),
    (rb"\x1f\x8b|BZh|\xfd7zXZ\0|\x28\xb5\x2f\xfd", "is compressed", _UNPACK),
    (rb"(?s).{257}ustar", "is a tar archive", _UNPACK),
    (
        rb"\x80[\x02-\x05]",
        "is a plain pickle, which torch.save did not write (detectron2's .pkl files are such)",
        _ANOTHER,
    ),
)


def check_address(weights: str) -> None:
    """Refuse an address from which nothing can be fetched.

    Args:
        weights: a path or a URI, as the manifest gives it.

    Raises:
        WeightsFileError: it is a URL of another kind than s3:// and file://.
    """
    scheme, separator, _ = weights.partition("://")
    if separator and scheme not in _SCHEMES:  # the rest of a URL may contain credentials
        raise WeightsFileError(
            f"{scheme}:// addresses are not supported",
            "download the checkpoint, and give its path or an s3:// URI",
        )


def weights_format(path: Path) -> WeightsFormat:
    """How the checkpoint in a file is stored; its tensors are not read.

    Raises:
        WeightsFileError: there is no such file, or it is obviously no checkpoint.
        OSError: the file cannot be read.
    """
    if not path.is_file():
        raise WeightsFileError(f"{path} {_absence(path)}", "give a .pth or .safetensors file")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PK"):
        _check_archive(path)
        return WeightsFormat.ZIP
    if _LEGACY_MAGIC in head[:32]:
        return WeightsFormat.LEGACY
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_HEADER_BYTES:
        return WeightsFormat.SAFETENSORS
    problem, remedy = _other_kind(head)
    raise WeightsFileError(f"{path} {problem}", remedy)


def _absence(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return f"is a symbolic link to {path.readlink()}, which does not exist"
    if path.is_dir():
        return "is a folder, not a file"
    return "is no regular file" if path.exists() else "does not exist"


def _check_archive(path: Path) -> None:
    try:
        with ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except OSError:
        raise
    except Exception as error:  # damaged directories raise anything
        raise WeightsFileError(
            f"{path} is truncated or damaged: its zip directory cannot be read", _AGAIN
        ) from error
    if "constants.pkl" in names:
        raise WeightsFileError(
            f"{path} is a TorchScript archive, not a checkpoint",
            "give the checkpoint that it was made from",
        )
    if "data.pkl" not in names:
        raise WeightsFileError(f"{path} is a zip archive, not a checkpoint", _UNPACK)


def _other_kind(head: bytes) -> tuple[str, str]:
    """Say what a file is instead of a checkpoint, by its first bytes, and what to do."""
    for pattern, problem, remedy in _OTHERS:
        if re.match(pattern, head):
            return problem, remedy
    if re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        return "is no checkpoint of a known format", _ANOTHER
    line = head.decode("utf-8", "replace").strip().partition("\n")[0].strip()
    problem = f"is text, not a checkpoint; it begins with {line[:_SHOWN]!r}"
    if re.fullmatch(r"\S*/\S*", line):
        problem += ", as a symbolic link does that was checked out as a file"
        return problem, "give the path of the checkpoint that it points to"
    return problem, _ANOTHER
