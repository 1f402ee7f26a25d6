"""Many writers at once, and writers that are killed: no lost, doubled or partial object."""

import fcntl
import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from detnas.store import Store, open_store
from detnas.store.durable_files import exclusive_lock, temporary_file
from detnas.store.errors import AlreadyExists, VersionConflict
from tests.stored import content

PROCESSES = 6
KEYS = 6
STEPS = 8
KILLS = 8
PATIENCE = 120

fork = multiprocessing.get_context("fork")


def test_put_if_absent_by_many_processes_succeeds_for_one(store: Store, tmp_path: Path) -> None:
    store.probe()  # the children inherit a client in use, and must not share it
    race(create_all, store, tmp_path)
    won = [set((tmp_path / str(number)).read_text().split()) for number in range(PROCESSES)]
    keys = [f"trials/{number}" for number in range(KEYS)]
    assert sorted(key for keys_won in won for key in keys_won) == sorted(keys)
    for key in keys:
        assert key in won[int(content(store, key))]


def create_all(store: Store, number: int, folder: Path, barrier: Barrier) -> None:
    won = []
    for key in range(KEYS):
        barrier.wait(PATIENCE)
        try:
            store.put_if_absent(f"trials/{key}", str(number).encode())
            won.append(f"trials/{key}")
        except AlreadyExists:
            pass
    (folder / str(number)).write_text(" ".join(won))


def test_conditional_writes_lose_no_update(store: Store, tmp_path: Path) -> None:
    store.put("counter", b"0:")
    race(count_up, store, tmp_path)
    assert content(store, "counter").split(b":")[0] == str(PROCESSES * STEPS).encode()


def count_up(store: Store, number: int, folder: Path, barrier: Barrier) -> None:
    barrier.wait(PATIENCE)
    for step in range(STEPS):
        while True:
            stored = store.get("counter")
            assert stored is not None
            count = int(stored.data.split(b":")[0]) + 1
            try:
                store.put_if_match("counter", f"{count}:{number}/{step}".encode(), stored.version)
                break
            except VersionConflict:
                time.sleep(random.random() * 0.01)


def race(function: Callable[[Store, int, Path, Barrier], None], store: Store, folder: Path) -> None:
    barrier = fork.Barrier(PROCESSES)
    processes = [
        fork.Process(target=function, args=(store, number, folder, barrier))
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0] * PROCESSES


def test_killed_writers_leave_no_partial_object(store: Store, tmp_path: Path) -> None:
    draw = random.Random(0)
    for _ in range(KILLS):
        kill_a_writer(store.uri, tmp_path, draw.uniform(0.0, 0.06))
        for key in store.list(""):
            stored = content(store, key)
            assert stored[:64] == hashlib.sha256(stored[64:]).hexdigest().encode(), key
    assert list(store.list("created/"))
    store.probe()


def test_probe_removes_what_dead_writers_left(directory_store: Store, tmp_path: Path) -> None:
    draw = random.Random(1)
    root = tmp_path / "a store"
    for _ in range(20):
        kill_a_writer(directory_store.uri, tmp_path, draw.uniform(0.0, 0.03))
    written = list(directory_store.list(""))
    assert list(root.rglob("*.part")), "no writer was killed while it wrote"
    with temporary_file(root / ".detnas" / "temporary") as alive:
        directory_store.probe()
        assert [str(path) for path in root.rglob("*.part")] == [alive.name]
    assert list(directory_store.list("")) == written


def kill_a_writer(uri: str, folder: Path, after: float) -> None:
    """Let a process write without end, and kill it some seconds after its first object."""
    started = fork.Event()
    writer = fork.Process(target=write_for_ever, args=(uri, folder, started.set))
    writer.start()
    assert started.wait(PATIENCE)
    time.sleep(after)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(PATIENCE)
    assert writer.exitcode == -signal.SIGKILL


def write_for_ever(uri: str, folder: Path, started: Callable[[], None]) -> None:
    store = open_store(uri)
    while True:
        body = os.urandom(1000) * 2000
        digest = hashlib.sha256(body).hexdigest()
        data = digest.encode() + body
        (folder / "to-upload").write_bytes(data)
        store.put_if_absent(f"created/{digest}", data)
        started()
        store.put("progress.json", data)
        store.upload_file(f"uploaded/{digest}", folder / "to-upload")


def test_object_is_not_seen_before_it_is_complete(
    directory_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    sync = os.fsync

    def look_then_sync(descriptor: int) -> None:
        seen.append(list(directory_store.list("")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", look_then_sync)
    directory_store.put_if_absent("result.json", b"all of it")
    assert seen[0] == []  # the content is brought to the disk before it has a name
    assert seen[-1] == ["result.json"]  # and the name after it


def test_forked_child_does_not_keep_a_lock(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / "lock"):
        child = fork.Process(target=time.sleep, args=(60,))
        child.start()
    try:
        with (tmp_path / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        child.kill()
        child.join()
