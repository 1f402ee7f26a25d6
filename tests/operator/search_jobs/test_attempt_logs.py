"""Which attempt a failed pod's log belongs to."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from detnas.records.results import Attempt
from detnas.store import Store, open_store
from detnas.store.artifacts import create_record
from detnas_operator.cluster import Unavailable
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.pods import INDEX, PodView
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.job.names import CONTAINER
from detnas_operator.search_jobs.attempt_logs import MAX_ATTEMPTS, AttemptLogs
from detnas_operator.search_jobs.jobs import SearchJobs

FOLDER = "team-a/searches/one-12345678/trials/0000"
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri())


def begin(store: Store, number: int, seconds: float) -> None:
    attempt = Attempt(number=number, started=BEGAN + timedelta(seconds=seconds))
    create_record(store, f"{FOLDER}/attempts/{number}/attempt.json", attempt)


def pod(name: str, began: int, ended: int, phase: str = "Failed", index: int = 0) -> PodView:
    times = {"startedAt": began, "finishedAt": ended}
    written = {
        field: f"{BEGAN + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
        for field, seconds in times.items()
    }
    state = {"terminated": {"exitCode": 137, **written}}
    body = {
        "metadata": {"name": name, "annotations": {INDEX: str(index)}},
        "status": {"phase": phase, "containerStatuses": [{"name": CONTAINER, "state": state}]},
    }
    return PodView(body)


def keep(store: Store, *pods: PodView) -> list[str]:
    """Keep what pods said; return the names of those that were asked."""
    asked: list[str] = []

    def log_end(pod: PodView, container: str) -> str:
        assert container == CONTAINER
        asked.append(pod.name)
        return f"words of {asked[-1]}\n"

    AttemptLogs(store, log_end).store_missing(FOLDER, list(pods))
    return asked


def logs(store: Store) -> dict[str, str]:
    prefix = f"{FOLDER}/attempts/"
    return {
        key.removeprefix(prefix): found.data.decode()
        for key in store.list(prefix)
        if key.endswith("log.txt") and (found := store.get(key))
    }


def test_attempt_logs_match_pods_by_time(store: Store) -> None:
    begin(store, 1, 3.2)
    begin(store, 2, 63.9)  # its node tells whole seconds: it ended at 63.x
    keep(store, pod("early", 20, 21), pod("second", 60, 63), pod("first", 0, 10))
    assert logs(store) == {"1/log.txt": "words of first\n", "2/log.txt": "words of second\n"}


def test_attempt_logs_keep_the_trainers_own_log(store: Store) -> None:
    begin(store, 1, 1)
    store.put(f"{FOLDER}/attempts/1/log.txt", b"its own\n")
    assert keep(store, pod("first", 0, 10)) == []
    assert logs(store) == {"1/log.txt": "its own\n"}


def test_attempt_logs_skip_succeeded_pods_and_further_workers(store: Store) -> None:
    begin(store, 1, 1)
    asked = keep(store, pod("good", 0, 10, phase="Succeeded"), pod("second", 0, 10, index=1))
    assert (asked, logs(store)) == ([], {})


def test_attempt_logs_read_a_bounded_number_of_attempts(store: Store) -> None:
    for number in range(1, MAX_ATTEMPTS + 30):
        begin(store, number, 1)
    assert len(keep(store, pod("one", 0, 10))) == MAX_ATTEMPTS


def test_attempt_logs_skip_malformed_attempts(store: Store) -> None:
    store.put(f"{FOLDER}/attempts/1/attempt.json", b"{}")
    store.put(f"{FOLDER}/attempts/x/attempt.json", b"{}")
    begin(store, 2, 1)
    keep(store, pod("first", 0, 10))
    assert logs(store) == {"2/log.txt": "words of first\n"}


class FailingClient:
    """A client of an API server that has no answer, or says this."""

    def __init__(self, status: int) -> None:
        self.status = status

    def pod_log(self, *_: object) -> str:
        raise Unavailable("get the log of team-a/one: dial tcp 10.0.0.7:10250", status=self.status)


def jobs_of(client: Any) -> SearchJobs:
    return SearchJobs(client, ClusterCache(), SearchKey("team-a", "one"), "u-1")


def test_log_of_a_pod_on_a_lost_node_is_empty() -> None:
    one = pod("one", 0, 10)
    assert jobs_of(FailingClient(500)).log_end(one) == ""
    with pytest.raises(Unavailable):  # the API server itself is away: the log may be had later
        jobs_of(FailingClient(0)).log_end(one)


ISTIO = {"name": "istio-proxy", "state": {"running": {}}}
ADDED = {"name": "vault-init", "state": {"terminated": {"exitCode": 3}}}


def last_lines(store: Store, *pods: PodView) -> list[str]:
    """The last lines that are left of pods' logs, or of the last attempt's."""
    said = AttemptLogs(store, lambda pod, container: f"{container} of {pod.name}\n")
    return said.store_last(FOLDER, list(pods))


def test_attempt_logs_store_the_log_of_a_trainer_whose_pod_lives_on(store: Store) -> None:
    begin(store, 1, 1)
    alive = pod("alive", 0, 10, phase="Running")
    alive.body["metadata"]["creationTimestamp"] = "2026-03-01T00:00:00Z"
    alive.body["status"]["containerStatuses"].insert(0, ISTIO)
    keep(store, alive)
    assert logs(store) == {"1/log.txt": "words of alive\n"}
    assert last_lines(store, alive) == ["trainer of alive"]


def test_attempt_logs_return_but_do_not_store_a_failed_init_containers_log(
    store: Store,
) -> None:
    failed = pod("failed", 0, 10)
    failed.body["metadata"]["creationTimestamp"] = "2026-03-01T00:00:00Z"
    waiting = {"name": CONTAINER, "state": {"waiting": {"reason": "PodInitializing"}}}
    failed.body["status"] |= {"containerStatuses": [waiting], "initContainerStatuses": [ADDED]}
    assert last_lines(store, failed) == ["vault-init of failed"]
    assert logs(store) == {}


def test_attempt_logs_return_the_stored_log_without_a_pod(store: Store) -> None:
    begin(store, 1, 1)
    begin(store, 2, 5)
    store.put(f"{FOLDER}/attempts/2/log.txt", b"epoch 1\nValueError: no\n")
    assert last_lines(store) == ["epoch 1", "ValueError: no"]
