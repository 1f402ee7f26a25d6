"""A trainer that only pretends, inside the tests' process: a plausible result in milliseconds."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from detnas.records import keys
from detnas.records.progress import Progress
from detnas.records.requests import Request
from detnas.records.results import Attempt
from detnas.store import Store
from detnas.store.artifacts import create_record, put_record
from detnas.store.record_format import decode_record
from detnas.store.s3 import S3Store
from tests.cluster.played_pod import PlayedPod
from tests.detnas.searches.fake_trainer import answer
from tests.seaweed import S3Server


class PretendedTrainer:
    """Carries out the jobs of a server's searches; usable from many threads.

    Attributes:
        starts: the key of every attempt that began, in order.
    """

    def __init__(self, server: S3Server) -> None:
        self.starts: list[str] = []
        self._server = server
        self._folder = Path(tempfile.mkdtemp(prefix="pretended-"))
        self.store: Callable[[str], Store] = cache(self._open)

    def __call__(self, pod: PlayedPod) -> None:
        """Do what the pod was asked, to its end."""
        self.begin(pod)
        self.finish(pod)

    def begin(self, pod: PlayedPod) -> None:
        """Write what an attempt writes before it trains, with its first progress."""
        store, request = self.asked(pod.uri)
        self.starts.append(request.key)
        number, started = self._attempt(store, request) + 1, datetime.now(UTC)
        attempt = keys.attempt_folder(request.key, number)
        create_record(store, f"{attempt}/attempt.json", Attempt(number=number, started=started))
        progress = Progress(
            activity="training", done=1, total=2, epoch=1, epochs=1, updated=started
        )
        put_record(store, f"{attempt}/progress.json", progress)

    def finish(self, pod: PlayedPod) -> None:
        """Write the result of the last attempt."""
        store, request = self.asked(pod.uri)
        with tempfile.TemporaryDirectory(dir=self._folder) as own:
            result = self.answer(store, request, Path(own))
        update = {"attempt": max(1, self._attempt(store, request)), "finished": datetime.now(UTC)}
        create_record(store, keys.result_key(request.key), result.model_copy(update=update))

    def answer(self, store: Store, request: Any, folder: Path) -> Any:
        """The result of a job."""
        return answer(store, request, folder)

    def asked(self, uri: str) -> tuple[Store, Any]:
        """The store's root that a job belongs to, and its request."""
        bucket, _, folder = uri.removeprefix("s3://").partition("/")
        stored = self.store(f"s3://{bucket}").get(f"{folder}/request.json")
        assert stored is not None, f"{uri} has no request"
        request = decode_record(stored.data, uri, Request)
        assert uri.endswith(f"/{request.key}")
        return self.store(uri.removesuffix(f"/{request.key}")), request

    def _attempt(self, store: Store, request: Any) -> int:
        return sum(key.endswith("/attempt.json") for key in store.list(f"{request.key}/attempts/"))

    def _open(self, uri: str) -> Store:
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        return S3Store(bucket, prefix, lambda: _client(self._server))


@cache
def _client(server: S3Server) -> Any:
    return server.client(max_pool_connections=32)
