"""Played pods do work: they write results for the trainer, or run a command."""

import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

from detnas.records import keys
from detnas.records.requests import PrepareRequest
from detnas.records.settings import DataLocation, Resolution
from detnas.store import open_store
from detnas.store.artifacts import create_record
from tests.cluster import scripts
from tests.cluster.api import JOBS, PODS, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import install
from tests.cluster.pod_process import runs_its_command
from tests.cluster.pods import Behaviour, PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.waiting import eventually
from tests.seaweed import S3Server

Play = Callable[[Behaviour], PodPlayer]
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print(os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["POD"], flush=True)
time.sleep(600)
"""


def job(name: str, command: list[str], **container: object) -> Document:
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "trainer", "image": "trainer:1", "command": command, **container}],
    }
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def test_pretended_trainer_writes_the_result_of_its_job(
    cluster: ControlPlane, namespace: str, s3_environment: S3Server, play_pods: Play
) -> None:
    trainer = PretendedTrainer(s3_environment)
    play_pods(lambda pod: scripts.succeeds(work=trainer))
    root = f"s3://{s3_environment.bucket}/{uuid.uuid4().hex}"
    key = f"{namespace}/searches/one/prepare"
    data = DataLocation(root="/data", train="t.json", val="v.json")
    request = PrepareRequest(key=key, data=data, resolutions=(Resolution(width=64, height=64),))
    create_record(open_store(root), keys.request_key(key), request)
    cluster.api.create(job("prepare", ["detnas-trainer", "prepare", f"{root}/{key}"]), namespace)
    eventually(lambda: cluster.api.get(JOBS, namespace, "prepare")["status"].get("succeeded"))
    assert open_store(root).get(keys.result_key(key))
    assert trainer.starts == [key]


def test_pod_process_has_its_environment_and_stops_on_sigterm(
    cluster: ControlPlane, namespace: str, s3_server: S3Server, play_pods: Play, tmp_path: Path
) -> None:
    install(cluster, s3_server, [namespace])
    (secret,) = [one["metadata"]["name"] for one in cluster.api.list("api/v1/secrets", namespace)]
    player = play_pods(lambda pod: runs_its_command())
    variables = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    work = job(
        "work",
        [sys.executable, "-c", STUBBORN],
        envFrom=[{"secretRef": {"name": secret}}],
        env=variables,
    )
    cluster.api.create(work, namespace)
    eventually(lambda: player.of("work") and player.of("work")[0].log)
    (pod,) = player.of("work")
    assert pod.log == f"{s3_server.secret_key} {pod.name}\n"
    cluster.api.delete(PODS, namespace, pod.name)
    eventually(lambda: pod.ended)
    assert pod.exit_code == 75


def test_played_pods_run_concurrently(
    cluster: ControlPlane, namespace: str, play_pods: Play
) -> None:
    together, count = threading.Event(), 20
    player = play_pods(lambda pod: scripts.runs_until(together, scripts.succeeds()))
    for number in range(count):
        cluster.api.create(job(f"work-{number}", ["work"]), namespace)
    running = {"fieldSelector": "status.phase=Running"}
    eventually(lambda: len(cluster.api.list(PODS, namespace, **running)) == count)
    together.set()
    eventually(lambda: all(pod.ended for pod in player.played))
