import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor

from detnas.store import Store, open_store
from detnas_trainer.training.checkpoint import CheckpointRecord, Checkpoints
from tests.stored import content

JOB = "local/job"


class _Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def checkpoints(store: Store, tmp_path: Path, clock: _Clock) -> Checkpoints:
    return Checkpoints(store, JOB, tmp_path, clock, interval=60)


@pytest.fixture
def second(store: Store, tmp_path: Path, clock: _Clock) -> Checkpoints:
    """As another process sees them."""
    return Checkpoints(store, JOB, tmp_path, clock, interval=60)


def _begin(checkpoints: Checkpoints, attempt: int, iteration: int) -> Tensor:
    """Begin to save; return the tensor that is being trained."""
    tensor = torch.full((3,), float(iteration))
    details = {"recent": ({"loss": 1.0},), "seconds": {"training": 2.5}}
    checkpoints.save(attempt, iteration, {"model.w": tensor}, **details)
    return tensor


def _save(checkpoints: Checkpoints, attempt: int, iteration: int) -> None:
    _begin(checkpoints, attempt, iteration)
    checkpoints.wait()


def _newest(checkpoints: Checkpoints) -> CheckpointRecord:
    found = checkpoints.newest()
    assert found is not None
    return found


def _keys(store: Store) -> list[str]:
    return [key.removeprefix(f"{JOB}/attempts/") for key in store.list(f"{JOB}/attempts/")]


def test_newest_returns_the_checkpoint_with_most_steps_of_any_attempt(
    checkpoints: Checkpoints, second: Checkpoints
) -> None:
    assert checkpoints.newest() is None
    _save(checkpoints, attempt=1, iteration=30)
    _save(second, attempt=2, iteration=20)
    newest = _newest(checkpoints)
    assert (newest.attempt, newest.iteration) == (1, 30)
    assert (newest.recent, newest.seconds) == (({"loss": 1.0},), {"training": 2.5})
    assert checkpoints.tensors(newest)["model.w"].tolist() == [30.0] * 3


def test_save_keeps_only_the_last_of_an_attempt(checkpoints: Checkpoints, store: Store) -> None:
    for iteration in (10, 20, 20):
        _save(checkpoints, attempt=1, iteration=iteration)
    assert _keys(store) == ["1/checkpoint-20.safetensors", "1/checkpoint.json"]


def test_save_deletes_the_checkpoint_that_was_resumed_from(
    checkpoints: Checkpoints, second: Checkpoints, store: Store
) -> None:
    _save(checkpoints, attempt=1, iteration=10)
    assert second.newest() is not None
    assert "1/checkpoint-10.safetensors" in _keys(store)
    _save(second, attempt=2, iteration=20)
    assert "1/checkpoint-10.safetensors" not in _keys(store)
    newest = _newest(checkpoints)
    assert (newest.attempt, newest.iteration) == (2, 20)


@pytest.mark.parametrize("damage", ["altered", "cut", "gone"])
def test_newest_skips_damaged_tensors(
    checkpoints: Checkpoints, second: Checkpoints, store: Store, damage: str
) -> None:
    _save(checkpoints, attempt=1, iteration=10)
    _save(second, attempt=2, iteration=20)
    key = f"{JOB}/attempts/2/checkpoint-20.safetensors"
    if damage == "gone":
        store.delete(key)
    else:
        whole = content(store, key)
        store.put(key, whole[:-1] + b"\x01" if damage == "altered" else whole[:-8])
    assert _newest(checkpoints).iteration == 10


def test_newest_skips_a_damaged_record(checkpoints: Checkpoints, store: Store) -> None:
    _save(checkpoints, attempt=1, iteration=10)
    store.put(f"{JOB}/attempts/2/checkpoint.json", b'{"iteration": 40')
    assert _newest(checkpoints).iteration == 10


@pytest.mark.parametrize("dies_at", ["upload_file", "put", "delete"])
def test_killed_writer_leaves_a_usable_checkpoint(
    checkpoints: Checkpoints, store: Store, dies_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(checkpoints, attempt=1, iteration=10)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, dies_at, dies)
        with pytest.raises(KeyboardInterrupt):
            _save(checkpoints, attempt=1, iteration=20)
    newest = _newest(checkpoints)
    assert newest.iteration == (20 if dies_at == "delete" else 10)
    assert checkpoints.tensors(newest)["model.w"][0] == newest.iteration


def test_due_after_so_many_seconds_of_work(checkpoints: Checkpoints, clock: _Clock) -> None:
    clock.seconds = 59
    assert not checkpoints.due()
    clock.seconds = 60
    assert checkpoints.due()
    _save(checkpoints, attempt=1, iteration=10)
    assert not checkpoints.due()


@contextmanager
def _slow_uploads(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the block no upload ends; afterwards all do."""
    go, real = threading.Event(), store.upload_file

    def upload(key: str, path: Path) -> None:
        assert go.wait(60)
        real(key, path)

    monkeypatch.setattr(store, "upload_file", upload)
    try:
        yield
    finally:
        go.set()


def test_save_copies_the_tensors_and_does_not_wait_for_the_upload(
    checkpoints: Checkpoints, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _slow_uploads(store, monkeypatch):
        trained = _begin(checkpoints, attempt=1, iteration=10)
        trained.add_(5)
        assert _keys(store) == []
    checkpoints.wait()
    assert checkpoints.tensors(_newest(checkpoints))["model.w"].tolist() == [10.0] * 3


def test_due_is_false_while_a_checkpoint_is_being_written(
    checkpoints: Checkpoints, store: Store, clock: _Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _slow_uploads(store, monkeypatch):
        _begin(checkpoints, attempt=1, iteration=10)
        clock.seconds = 600
        assert not checkpoints.due()
    checkpoints.wait()
    assert checkpoints.due()


@pytest.mark.parametrize("call", ["due", "save", "wait"])
def test_next_call_raises_what_failed_while_writing(
    checkpoints: Checkpoints, store: Store, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(store, "upload_file", full)
    _begin(checkpoints, attempt=1, iteration=10)
    while checkpoints.is_writing():
        threading.Event().wait(0.01)
    calls = {
        "due": checkpoints.due,
        "save": lambda: _begin(checkpoints, attempt=1, iteration=20),
        "wait": checkpoints.wait,
    }
    with pytest.raises(OSError, match="no space left"):
        calls[call]()


def test_complete_leaves_a_complete_checkpoint_behind_an_interruption(
    checkpoints: Checkpoints, store: Store
) -> None:
    with suppress(InterruptedError), checkpoints.complete():
        _begin(checkpoints, attempt=1, iteration=10)
        raise InterruptedError
    assert _keys(store) == ["1/checkpoint-10.safetensors", "1/checkpoint.json"]


def test_discard_deletes_all_checkpoints(
    checkpoints: Checkpoints, second: Checkpoints, store: Store
) -> None:
    _save(checkpoints, attempt=1, iteration=10)
    _save(second, attempt=2, iteration=20)
    store.put(f"{JOB}/attempts/2/progress.json", b"{}")
    checkpoints.discard()
    assert _keys(store) == ["2/progress.json"]
