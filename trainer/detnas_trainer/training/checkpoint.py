"""Checkpoints: however a job is killed, the last one is complete and can be resumed from.

An attempt writes `attempts/<n>/checkpoint-<iteration>.safetensors`, then `checkpoint.json`, which
names it with its digest, and only then deletes the one before: its own, or the one that it
resumed from. A new attempt resumes from the newest complete one of any attempt.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.schema import Count, Positive, Schema, added
from detnas.store import Store
from detnas.store.artifacts import load_record, put_record
from detnas.store.cache import difference
from detnas.store.durable_files import sha256_of
from detnas.store.errors import CorruptRecord, NotFound, StoreError
from detnas_trainer.training.epoch_losses import EpochLoss
from detnas_trainer.weights import WeightsError, load_weights, save_weights

log = logging.getLogger("detnas_trainer")


class CheckpointRecord(Schema):
    """What a checkpoint holds in addition to its tensors.

    Attributes:
        iteration: steps done.
        attempt: that wrote it.
        file: the tensors.
        recent: losses of the last steps, by name.
        seconds: wall time by activity, over all attempts until then.
        epochs: losses of the last epochs, added up.
        micro_batch: images in a part of a batch; None if batches are not divided.
    """

    iteration: Count
    attempt: Positive
    file: Artifact
    recent: tuple[dict[str, float], ...] = ()
    seconds: dict[str, float] = {}
    epochs: tuple[EpochLoss, ...] = ()
    micro_batch: Positive | None = added(1)


class Checkpoints:
    """The checkpoints of one job, read by one of its attempts, which writes its own.

    Training stands still only while its tensors are copied; a thread writes and uploads the copy,
    one at a time. What fails there is raised by the next call. At most the work of ``interval``
    seconds and of one upload may be lost.
    """

    def __init__(
        self,
        store: Store,
        job: str,
        scratch: Path,
        clock: Callable[[], float],
        interval: float = 600.0,
    ) -> None:
        self._store = store
        self._job = job
        self._scratch = scratch
        self._clock = clock
        self._interval = interval
        self._last = clock()
        self._previous: str | None = None
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def newest(self) -> CheckpointRecord | None:
        """The record of the checkpoint with most steps whose tensors are complete, if any.

        Its tensors are in the scratch folder then: see `tensors`.
        """
        records = [record for key in self._records() if (record := self._read(key))]
        for record in sorted(records, key=lambda r: (r.iteration, r.attempt), reverse=True):
            if self._fetch(record):
                self._previous = record.file.key
                return record
        return None

    def fetch(self, record: CheckpointRecord) -> None:
        """Fetch the tensors of the checkpoint that another process found to be the newest.

        Raises:
            CorruptRecord: they are not complete.
        """
        if not self._fetch(record):
            raise CorruptRecord(f"{record.file.key} is not what it was", "start the job again")

    def tensors(self, record: CheckpointRecord) -> dict[str, Tensor]:
        """The tensors of the record that `newest` gave."""
        return load_weights(self._local(record)).state

    def due(self) -> bool:
        """Whether the last checkpoint is older than the interval, and is written."""
        if self.is_writing():
            return False
        self.wait()  # raises what failed
        return self._clock() - self._last >= self._interval

    def is_writing(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._writing is not None and not self._writing.done()

    def wait(self) -> None:
        """Return once no checkpoint is being written.

        Raises:
            StoreError: the store did not take the last one.
            OSError: the local disk did not.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def save(
        self, attempt: int, iteration: int, tensors: dict[str, Tensor], **details: Any
    ) -> None:
        """Copy the tensors, and begin to write a checkpoint of them.

        Once it is written, the one before is deleted, whichever attempt wrote it.

        Args:
            attempt: that writes.
            iteration: steps done.
            tensors: of the training.
            details: the other fields of `CheckpointRecord`.

        Raises:
            StoreError: the store did not take the checkpoint before.
            OSError: the local disk did not.
        """
        self.wait()
        self._last = self._clock()
        copies = {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}
        record = partial(CheckpointRecord, iteration=iteration, attempt=attempt, **details)
        key = keys.checkpoint_tensors_key(self._job, attempt, iteration)
        self._writing = self._writer.submit(self._write, copies, record, key)

    def _write(
        self,
        tensors: dict[str, Tensor],
        record_of: Callable[..., CheckpointRecord],
        key: str,
    ) -> None:
        path = self._scratch / "checkpoint.safetensors"
        save_weights(path, tensors)
        file = Artifact(key=key, size=path.stat().st_size, sha256=sha256_of(path))
        record = record_of(file=file)
        self._store.upload_file(key, path)
        put_record(self._store, keys.checkpoint_key(self._job, record.attempt), record)
        if self._previous not in (None, key):
            self._store.delete(self._previous)
        self._previous = key

    @contextmanager
    def complete(self) -> Iterator[None]:
        """Leave the block only when no checkpoint is being written, whatever happens inside."""
        try:
            yield
        finally:
            try:
                self.wait()
            except (StoreError, OSError) as error:
                log.warning("last checkpoint is not written: %s", error)

    def discard(self) -> None:
        """Delete every attempt's checkpoints: the job has its result."""
        with self.complete():
            pass
        listed = self._store.list(f"{keys.attempts_folder(self._job)}/")
        found = filter(keys.is_of_checkpoint, listed)
        for key in sorted(found, key=lambda key: not key.endswith(".json")):
            self._store.delete(key)

    def _records(self) -> list[str]:
        listed = self._store.list(f"{keys.attempts_folder(self._job)}/")
        files = keys.attempt_files(self._job, listed)
        return [keys.checkpoint_key(self._job, n) for n in files if keys.CHECKPOINT in files[n]]

    def _read(self, key: str) -> CheckpointRecord | None:
        try:
            return load_record(self._store, key, CheckpointRecord)
        except CorruptRecord as error:
            log.warning("checkpoint skipped: %s", error)
            return None

    def _fetch(self, record: CheckpointRecord) -> bool:
        path = self._local(record)
        try:
            self._store.download_file(record.file.key, path)
            if wrong := difference(path, record.file):
                log.warning("checkpoint %s skipped: %s", record.file.key, wrong)
                return False
            load_weights(path)
        except (NotFound, WeightsError) as error:
            log.warning("checkpoint skipped: %s", error)
            return False
        return True

    def _local(self, record: CheckpointRecord) -> Path:
        return self._scratch / f"resume-{record.file.sha256}.safetensors"
