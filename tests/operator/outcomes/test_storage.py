"""A store that refuses the operator, or is away, is told; the search goes on once it is there."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.cluster.api import Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.installation import install
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.pods import Behaviour, PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts, runs_until, succeeds
from tests.operator.outcomes.stage import Stage
from tests.seaweed import S3Server

SETTINGS = {"progressSeconds": 1}


@pytest.fixture
def trainer(s3_server: S3Server) -> PretendedTrainer:
    return PretendedTrainer(s3_server)


def test_a_store_that_refuses_the_operator_is_told(
    cluster: ControlPlane,
    s3_server: S3Server,
    namespace: str,
    operators: Callable[..., OperatorProcess],
    play_pods: Callable[[Behaviour], PodPlayer],
    trainer: PretendedTrainer,
) -> None:
    right = install(cluster, s3_server, [namespace])
    wrong = replace(right, environment={**right.environment, "AWS_SECRET_ACCESS_KEY": "wrong"})
    scripts = Scripts(succeeds(work=trainer))
    operator = operators(wrong, settings=SETTINGS)
    operator.start()
    stage = Stage(cluster, right, operator, play_pods(scripts), scripts, trainer, [namespace])
    search = stage.begun("locked-out", trials=1)
    search.until(lambda: search.says("Degraded", "True", "StoreRefused"))
    message = search.condition("Degraded")["message"]
    assert "SignatureDoesNotMatch" in message, message
    assert search.phase == "Pending"
    assert search.condition("Accepted")["status"] == "Unknown"
    assert search.told("StoreRefused")["type"] == "Warning"
    assert not search.jobs()

    operator.stop()
    operators(right, settings=SETTINGS).start()
    search.until_phase("Succeeded")
    assert search.told("Accepted")["type"] == "Normal"


def test_a_store_that_is_away_is_told_and_all_goes_on_once_it_is_back(
    cluster: ControlPlane,
    s3_server: S3Server,
    namespace: str,
    operators: Callable[..., OperatorProcess],
    play_pods: Callable[[Behaviour], PodPlayer],
    trainer: PretendedTrainer,
) -> None:
    released, work = threading.Event(), succeeds(work=trainer)
    scripts = Scripts(work).on("cut-off-t0001", runs_until(released, work))
    with FaultProxy(s3_server.endpoint, name="s3") as proxy:
        installation = install(cluster, s3_server, [namespace], endpoint=proxy.url)
        operator = operators(installation, settings=SETTINGS)
        operator.start()
        player = play_pods(scripts)
        stage = Stage(cluster, installation, operator, player, scripts, trainer, [namespace])
        spec = {"storage": {"onDelete": "Delete"}}
        search = stage.begun("cut-off", spec, trials=2, parallelism=1)
        search.until_runs("-t0001")
        search.until(lambda: search.trials["progress"] == "1/2")
        proxy.go_down()
        search.until(lambda: search.says("Degraded", "True", "StoreUnavailable"))
        assert search.phase == "Searching"
        assert search.trials["progress"] == "1/2"
        assert search.told("StoreUnavailable")["type"] == "Warning"
        assert search.running("-t0001")
        released.set()
        ended = search.until(lambda: _ended(search.job("-t0001")))
        # Nobody has read its result yet: the Job, and its log, must stay.
        assert "ttlSecondsAfterFinished" not in ended["spec"]

        proxy.come_up()
        search.until_phase("Succeeded")
        assert search.says("Degraded", "False", "NothingWrong")
        assert search.told("Recovered")["message"] == "resolved: StoreUnavailable"
        assert len(search.pods_of("-t0001")) == 1
        assert search.trials["infrastructure"] == 0
        search.until(lambda: "ttlSecondsAfterFinished" in _spec(search.job("-t0001")))

        proxy.go_down()
        search.delete()
        search.until(lambda: search.says("Degraded", "True", "StoreUnavailable"))
        assert "deletionTimestamp" in search.resource["metadata"]
        proxy.come_up()
        search.until(lambda: not search.is_there)
        assert list(search.store.list(f"{search.folder}/")) == []


def _ended(job: Document | None) -> Document | None:
    conditions = job["status"].get("conditions", []) if job else []
    return job if any(one["type"] == "Complete" for one in conditions) else None


def _spec(job: Document | None) -> Document:
    return dict(job["spec"]) if job else {}
