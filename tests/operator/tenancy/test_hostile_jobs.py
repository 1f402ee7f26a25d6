"""A tenant's jobs write what they like below their folders: it costs nobody but their search."""

import json
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detnas.records import keys
from detnas.store.artifacts import canonical_json
from tests.cluster.admission import restrict
from tests.cluster.api import EVENTS, JOBS
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import install
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Behaviour, PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts, runs_until, succeeds
from tests.cluster.waiting import eventually
from tests.detnas.runner.fake_trainer import answer
from tests.operator.tenancy.scene import (
    apply,
    condition,
    status,
    wait_until_over,
    wait_until_said,
)
from tests.seaweed import S3Server

MEGABYTE = 1 << 20
LARGEST_STATUS = 64 * 1024
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
            record = json.loads(canonical_json(result))
            change(record)
            store.put(keys.result_key(request.key), json.dumps(record).encode())

        return work

    def forges(self, pod: PlayedPod) -> None:
        """Do a job well, and then change what the search is told."""
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
def test_hostile_records_harm_their_own_search_only(
    cluster: ControlPlane,
    s3_server: S3Server,
    namespaces: Callable[[], str],
    play_pods: Callable[[Behaviour], PodPlayer],
    operators: Callable[..., OperatorProcess],
) -> None:
    evil, good = namespaces(), namespaces()
    for namespace in (evil, good):
        restrict(cluster.api, namespace)
    installation = install(cluster, s3_server, [evil, good])
    trainer = HostileTrainer(s3_server)
    store = trainer.store(installation.settings["storage"]["default"])
    trainer.victim = f"{good}/searches/secret/{'0' * 64}.safetensors"
    store.put(trainer.victim, b"x" * 100)
    restarted = threading.Event()
    player = play_pods(behaviour(trainer, restarted))
    operator = operators(installation, settings={"resyncSeconds": 5}, forked=False)
    operator.start()
    for name in EVIL:
        apply(cluster, evil, name, trials=2)
    troubled(cluster, evil, EVIL[:-1])
    operator.restart()  # what was written is read again, and the forged record for the first time
    restarted.set()
    apply(cluster, good, "good", trials=2)
    assert wait_until_over(cluster, good, "good")["phase"] == "Succeeded"
    troubled(cluster, evil, EVIL[:-1])
    assert eventually(lambda: operator.health()[0]) == 200
    assert operator.memory() < 300 * MEGABYTE
    left = store.get(trainer.victim)
    assert left is not None
    assert left.data == b"x" * 100
    check_words(cluster, evil, operator)
    check_forged(cluster, evil, player)


def troubled(cluster: ControlPlane, namespace: str, names: tuple[str, ...]) -> None:
    """Wait until each of the searches says that something is wrong."""
    for name in names:
        said = wait_until_said(cluster, namespace, name, "Degraded", ("True",))
        assert said["message"], name
        assert len(json.dumps(status(cluster, namespace, name))) < LARGEST_STATUS


def check_words(cluster: ControlPlane, namespace: str, operator: OperatorProcess) -> None:
    said = condition(cluster, namespace, "words", "Degraded")["message"]
    assert "owned" in said
    events = [event["message"] for event in cluster.api.list(EVENTS, namespace)]
    assert any("owned" in message for message in events)
    assert any("owned" in line for line in operator.log.splitlines())
    for text in (said, *events, *operator.log.split("\n")):
        assert all(ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0 for c in text), text[:200]
        assert not {"\u202e", "\u2028"} & set(text)
    assert max(map(len, operator.log.split("\n"))) < 50_000
    assert namespace in operator.metrics()
    assert "owned" not in operator.metrics()


def check_forged(cluster: ControlPlane, namespace: str, player: PodPlayer) -> None:
    assert wait_until_over(cluster, namespace, "forged")["phase"] == "Succeeded"
    pods = [pod for pod in player.played if pod.job.startswith("forged-")]
    assert len(pods) > 3
    for pod in pods:
        assert "evil.example" not in json.dumps(pod.document)
        assert "payroll" not in json.dumps(pod.document)
        assert pod.document["spec"].get("priorityClassName") is None
    assert not [
        job for job in cluster.api.list(JOBS, "default") if "detnas" in json.dumps(job["metadata"])
    ]
