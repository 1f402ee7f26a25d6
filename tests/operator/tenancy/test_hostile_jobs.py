"""A tenant's jobs write what they like below their folders: it costs nobody but their search."""

import json
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detnas.records import keys
from detnas.store.record_format import encode_record
from tests.cluster.admission import restrict
from tests.cluster.api import EVENTS, JOBS
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts, runs_until, succeeds
from tests.cluster.waiting import eventually
from tests.detnas.searches.fake_trainer import answer
from tests.operator.harness.fixtures import MakeHarness
from tests.operator.harness.search import Search
from tests.seaweed import S3Server

MEGABYTE = 1 << 20
MAX_STATUS_BYTES = 64 * 1024
STEERING = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2028<script>alert(1)</script>\r\n" + "x" * 5000
TIMES = {"started": "2026-11-22T00:00:00Z", "finished": "2026-11-22T00:00:01Z"}


class HostileTrainer(PretendedTrainer):
    """Does some jobs otherwise than asked."""

    victim = ""
    """Key of another tenant's object."""

    def writes(self, content: Callable[[], bytes]) -> Callable[[PlayedPod], None]:
        """Write this as the result of a job."""

        def work(pod: PlayedPod) -> None:
            store, request = self.asked(pod.uri)
            store.put(keys.result_key(request.key), content())

        return work

    def spoils(self, change: Callable[[dict[str, Any]], None]) -> Callable[[PlayedPod], None]:
        """Do a job well, but say something else in its result."""

        def work(pod: PlayedPod) -> None:
            self.begin(pod)
            store, request = self.asked(pod.uri)
            with tempfile.TemporaryDirectory() as folder:
                result = answer(store, request, Path(folder))
            record = json.loads(encode_record(result))
            change(record)
            store.put(keys.result_key(request.key), json.dumps(record).encode())

        return work

    def forges(self, pod: PlayedPod) -> None:
        """Do a job well, and then forge the search's record."""
        self(pod)
        store, request = self.asked(pod.uri)
        key = keys.search_record_key(request.key.rpartition("/")[0])
        stored = store.get(key)
        assert stored is not None
        record = json.loads(stored.data)
        record["image"] = "evil.example/miner:1"
        record["manifest"]["metadata"] = {"name": "other", "namespace": "default"}
        record["manifest"]["spec"]["jobs"]["image"] = "evil.example/miner:1"
        record["manifest"]["spec"]["jobs"]["priorityClassName"] = "system-node-critical"
        source = {"persistentVolumeClaim": {"claimName": "payroll"}}
        record["manifest"]["spec"]["dataset"]["source"] = source
        store.put(key, json.dumps(record).encode())

    def names_anothers_weights(self, record: dict[str, Any]) -> None:
        """Let a result name an object of another tenant."""
        record["files"]["weights"]["key"] = self.victim


def nan(record: dict[str, Any]) -> None:
    for score in record["scores"]:
        score["map"] = float("nan")


def prepared(**fields: Any) -> Callable[[], bytes]:
    return lambda: json.dumps({"kind": "Prepare", **TIMES, **fields}).encode()


def behaviour(trainer: HostileTrainer, restarted: threading.Event) -> Scripts:
    attacks: dict[str, Callable[[PlayedPod], None]] = {
        "large-prepare": trainer.writes(lambda: b" " * 200 * MEGABYTE),
        "deep-prepare": trainer.writes(lambda: b'{"files":' * 100_000),
        "wrong-prepare": trainer.writes(lambda: b'{"kind": "Detector"}'),
        "words-prepare": trainer.writes(prepared(outcome="Invalid", message=STEERING)),
        "wordy-prepare": trainer.writes(prepared(outcome="Invalid", message="y" * 900_000)),
        "nan-t0000": trainer.spoils(nan),
        "empty-base": trainer.spoils(lambda record: record.update(scores=[])),
        "theft-base": trainer.spoils(trainer.names_anothers_weights),
        "forged-prepare": trainer.forges,
    }
    scripts = Scripts(succeeds(work=trainer))
    for job, attack in attacks.items():
        scripts.on(job, succeeds(work=attack))
    scripts.on("forged-base", runs_until(restarted, succeeds(work=trainer)))
    return scripts


EVIL = ("large", "deep", "wrong", "words", "wordy", "nan", "empty", "theft", "forged")


@pytest.mark.slow
def test_hostile_records_harm_only_their_own_search(
    make_harness: MakeHarness, s3_server: S3Server, namespaces: Callable[[], str]
) -> None:
    evil, good = namespaces(), namespaces()
    trainer = HostileTrainer(s3_server)
    harness = make_harness(
        [evil, good], settings={"resyncSeconds": 5}, trainer=trainer, forked=False
    )
    for namespace in (evil, good):
        restrict(harness.cluster.api, namespace)
    trainer.victim = f"{good}/searches/secret/{'0' * 64}.safetensors"
    harness.store.put(trainer.victim, b"x" * 100)
    restarted = threading.Event()
    harness.play(behaviour(trainer, restarted))
    harness.operator.start()
    searches = {name: harness.begin(name, namespace=evil) for name in EVIL}
    spoiled = [search for name, search in searches.items() if name != "forged"]
    check_degraded(spoiled)
    harness.operator.restart()  # what was written is read again, the forged record for once
    restarted.set()
    harness.begin("good", namespace=good).until_phase("Succeeded")
    check_degraded(spoiled)
    assert eventually(lambda: harness.operator.health()[0]) == 200
    assert harness.operator.memory() < 300 * MEGABYTE
    left = harness.store.get(trainer.victim)
    assert left is not None
    assert left.data == b"x" * 100
    check_words(searches["words"])
    check_forged(searches["forged"])


def check_degraded(searches: list[Search]) -> None:
    """Wait until each of the searches reports that something is wrong."""
    for search in searches:
        assert search.until_condition("Degraded", "True")["message"], search.name
        assert len(json.dumps(search.status)) < MAX_STATUS_BYTES


def check_words(search: Search) -> None:
    """The hostile message is shown to people, without what steers terminals."""
    message, operator = search.condition("Degraded")["message"], search.harness.operator
    assert "owned" in message
    events = [one["message"] for one in search.harness.cluster.api.list(EVENTS, search.namespace)]
    assert any("owned" in message for message in events)
    assert any("owned" in line for line in operator.log.splitlines())
    for text in (message, *events, *operator.log.split("\n")):
        assert all(ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0 for c in text), text[:200]
        assert not {"\u202e", "\u2028"} & set(text)
    assert max(map(len, operator.log.split("\n"))) < 50_000
    assert search.namespace in operator.metrics()
    assert "owned" not in operator.metrics()


def check_forged(search: Search) -> None:
    """No pod has what the forged record names."""
    search.until_phase("Succeeded")
    pods = [pod for pod in search.harness.player.played if pod.job.startswith("forged-")]
    assert len(pods) > 3
    for pod in pods:
        assert "evil.example" not in json.dumps(pod.document)
        assert "payroll" not in json.dumps(pod.document)
        assert pod.document["spec"].get("priorityClassName") is None
    jobs = search.harness.cluster.api.list(JOBS, "default")
    assert not [job for job in jobs if "detnas" in json.dumps(job["metadata"])]
