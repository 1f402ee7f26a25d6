"""A full disk: a clear error, nothing lost, nothing half written."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from detnas.store import Store, open_store
from detnas.store.errors import StoreFull
from tests.stored import content

TOO_MUCH = bytes(3 << 20)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; only root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_writes_to_a_full_disk_raise_store_full_and_keep_objects(
    small_disk: Path, tmp_path: Path
) -> None:
    store = open_store((small_disk / "store").as_uri())
    (tmp_path / "weights").write_bytes(TOO_MUCH)
    store.put("old", b"stays")
    found = store.get("old")
    assert found is not None
    for write in (
        lambda: store.put("old", TOO_MUCH),
        lambda: store.put_if_match("old", TOO_MUCH, found.version),
        lambda: store.put_if_absent("new", TOO_MUCH),
        lambda: store.upload_file("new", tmp_path / "weights"),
    ):
        with pytest.raises(StoreFull, match=rf"no space left.*{small_disk}.*free space"):
            write()
        assert_only_old_is_there(store, small_disk)
    store.put_if_absent("new", b"there is room for this")
    assert list(store.list("")) == ["new", "old"]


def test_download_to_a_full_disk_raises_store_full(store: Store, small_disk: Path) -> None:
    store.put("weights", TOO_MUCH)
    (small_disk / "got").write_bytes(b"stays")
    with pytest.raises(StoreFull, match=rf"no space left.*{small_disk}/got"):
        store.download_file("weights", small_disk / "got")
    assert [path.name for path in small_disk.iterdir()] == ["got"]
    assert (small_disk / "got").read_bytes() == b"stays"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_disk_full_at_fsync_raises_store_full(
    directory_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    directory_store.put("old", b"stays")

    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreFull, match="no space left"):
            directory_store.put("old", b"new")
        with pytest.raises(StoreFull, match="no space left"):
            directory_store.put_if_absent("new", b"new")
    assert_only_old_is_there(directory_store, tmp_path)


def assert_only_old_is_there(store: Store, disk: Path) -> None:
    assert list(store.list("")) == ["old"]
    assert content(store, "old") == b"stays"
    assert not list(disk.rglob("*.part"))
