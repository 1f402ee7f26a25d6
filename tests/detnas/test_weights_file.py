"""What `base.weights` names is judged by address and first bytes, before anything is started."""

import gzip
import io
import os
import pickle
import tarfile
import time
from pathlib import Path
from zipfile import ZipFile

import pytest

from detnas.weights_file import WeightsFileError, WeightsFormat, check_address, weights_format


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, b"x" * 1000)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("base.pth"))
    return buffer.getvalue()


TORCH = archive("archive/data.pkl", "archive/data/0", "archive/version")
HEADER = b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
SAFETENSORS = len(HEADER).to_bytes(8, "little") + HEADER
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00"

OTHERS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty; download the checkpoint again"),
    "git-lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 167\n",
        "is a pointer of Git LFS.*; .*`git lfs pull`",
    ),
    "html": (b"\n <!DOCTYPE html><html>404</html>", "is a web page.*; download"),
    "html with a BOM": (b"\xef\xbb\xbf<HTML>", "is a web page"),
    "xml": (
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>",
        "is a web page or an XML document",
    ),
    "json": (b'{"message": "Not Found"}', 'is text, .*begins with \'{"message": "Not Found"}\''),
    "link as text": (
        b"../store/base.pth",
        "is text, .*begins with '../store/base.pth', as a symbolic link.*; give the path",
    ),
    "windows text": (b"hello there\r\n" * 50, "is text, .*begins with 'hello there'; "),
    "gzip": (gzip.compress(b"checkpoint"), "is compressed; unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00", "is compressed"),
    "tar": (tarred(), "is a tar archive; unpack it"),
    "pickle": (pickle.dumps({"model": {}}), "is a plain pickle.*detectron2"),
    "pickle 2": (pickle.dumps({"model": {}}, 2), "is a plain pickle"),
    "image": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is no checkpoint of a known format"),
    "numbers": (bytes(range(256)), "is no checkpoint of a known format"),
    "zip cut": (TORCH[:-30], "is truncated or damaged: .*; download the checkpoint again"),
    "zip cut early": (TORCH[:40], "is truncated or damaged"),
    "empty zip": (archive(), "is a zip archive, not a checkpoint; unpack it"),
    "zip of a checkpoint": (archive("base.pth"), "is a zip archive, not a checkpoint; unpack it"),
    "TorchScript": (archive("x/data.pkl", "x/constants.pkl"), "is a TorchScript archive"),
}


@pytest.mark.parametrize("name", ["base.pth", "base.safetensors", "base"])
@pytest.mark.parametrize(
    ("content", "form"),
    [
        (TORCH, WeightsFormat.ZIP),
        (LEGACY, WeightsFormat.LEGACY),
        (SAFETENSORS, WeightsFormat.SAFETENSORS),
    ],
    ids=["zip", "legacy", "safetensors"],
)
def test_weights_format_is_known_by_bytes_not_suffix(
    tmp_path: Path, content: bytes, form: WeightsFormat, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert weights_format(tmp_path / name) is form


@pytest.mark.parametrize("kind", OTHERS)
def test_weights_format_refuses_other_files_with_a_remedy(tmp_path: Path, kind: str) -> None:
    content, said = OTHERS[kind]
    path = tmp_path / "base.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsFileError, match=f"^{path} {said}") as caught:
        weights_format(path)
    assert caught.value.remedy


def test_weights_format_distinguishes_kinds_of_missing_files(tmp_path: Path) -> None:
    (tmp_path / "link.pth").symlink_to("../gone.pth")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    for name, said in (
        ("", "is a folder, not a file"),
        ("absent.pth", "does not exist"),
        ("link.pth", "is a symbolic link to ../gone.pth, which does not exist"),
        ("pipe", "is no regular file"),
    ):
        with pytest.raises(WeightsFileError, match=f"{tmp_path / name} {said}; "):
            weights_format(tmp_path / name)


def test_weights_format_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "there.pth").write_bytes(TORCH)
    (tmp_path / "link.pth").symlink_to("there.pth")
    assert weights_format(tmp_path / "link.pth") is WeightsFormat.ZIP


def test_weights_format_reads_only_the_head(tmp_path: Path) -> None:
    path = tmp_path / "base.pth"
    path.write_bytes(b"\0")
    os.truncate(path, 1 << 40)  # sparse
    began = time.monotonic()
    with pytest.raises(WeightsFileError, match="no checkpoint of a known format"):
        weights_format(path)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("weights", ["base.pth", "/a/base.pth", "s3://b/k.pth", "file:///k.pth"])
def test_check_address_accepts_paths_and_supported_schemes(weights: str) -> None:
    check_address(weights)


@pytest.mark.parametrize("scheme", ["http", "https", "torchvision", "open-mmlab", "gs"])
def test_check_address_refuses_others_without_credentials(scheme: str) -> None:
    with pytest.raises(WeightsFileError) as caught:
        check_address(f"{scheme}://someone:secret@example.com/r50.pth?token=secret")
    assert f"{scheme}:// addresses are not supported" in str(caught.value)
    assert "download the checkpoint" in caught.value.remedy
    assert "secret" not in str(caught.value)
