"""Latencies relative to the base: measured once for each architecture, on one device."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest

from detnas.actions import AddLayer, narrowed
from detnas.records import keys
from detnas.records.latency import LatencyComparison
from detnas.records.requests import BaseRequest
from detnas.records.results import DetectorResult
from detnas.store import open_store
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.jobs.verbs import relative_latency
from detnas_trainer.jobs.verbs.relative_latency import Latencies, relative_latencies
from detnas_trainer.latency import TimedDetector
from tests.seaweed import S3Server
from tests.trainer.conftest import CLASSES, Workplace, stopping, training

FOLDER = "local/a/latencies"
GROWN = AddLayer(stage=1)


@pytest.fixture(autouse=True)
def _few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relative_latency, "REPEATS", 5)


@pytest.fixture
def asked(workplace: Workplace) -> dict[str, Any]:
    """The field of a request that asks for latencies."""
    base, detector = (workplace.common[name] for name in ("architecture", "detector"))
    return {"latency": LatencyComparison(folder=FOLDER, base=base, detector=detector)}


@pytest.fixture
def base(workplace: Workplace, asked: dict[str, Any]) -> DetectorResult:
    """The base, which has measured its own latencies."""
    found = workplace.succeed(workplace.base_request("local/a/base", training=training(1), **asked))
    assert isinstance(found, DetectorResult)
    return found


def milliseconds(result: DetectorResult) -> list[tuple[float, float]]:
    """Of the detector and of the base, at each resolution."""
    found = [score.latency for score in result.scores]
    return [(one.milliseconds, one.base_milliseconds) for one in found if one is not None]


def test_equal_architectures_have_equal_latencies_whichever_job_asks(
    workplace: Workplace, asked: dict[str, Any], base: DetectorResult
) -> None:
    def trial(number: int, **changes: Any) -> DetectorResult:
        request = workplace.student_request(
            f"local/a/trials/{number:04d}", parent_weights=base.weights, **changes
        )
        found = workplace.succeed(request)
        assert isinstance(found, DetectorResult)
        return found

    like_base = trial(0, **asked)
    grown, again = trial(1, action=GROWN, **asked), trial(2, action=GROWN, seed=9, **asked)
    plain = trial(3, action=GROWN)
    assert len(milliseconds(base)) == 2
    assert all(own == of_base > 0 for own, of_base in milliseconds(base))
    assert milliseconds(like_base) == milliseconds(base)
    assert milliseconds(again) == milliseconds(grown) != milliseconds(base)
    assert milliseconds(plain) == []
    assert plain.weights.sha256 == grown.weights.sha256, "measuring has disturbed the training"
    records = [key for key in workplace.store.list(f"{FOLDER}/") if "device" not in key]
    assert len(records) == 4


def test_baseline_measures_its_latency_unless_it_is_known(
    workplace: Workplace, asked: dict[str, Any], base: DetectorResult
) -> None:
    def baseline(name: str, **changes: Any) -> DetectorResult:
        request = workplace.student_request(
            f"local/a/baselines/{name}",
            kind="Baseline",
            parent_weights=base.weights,
            training=training(0),
            **(asked | changes),
        )
        found = workplace.succeed(request)
        assert isinstance(found, DetectorResult)
        return found

    assert milliseconds(baseline("continued")) == milliseconds(base)
    scaled = baseline("scaled", narrowed=narrowed(workplace.common["architecture"], 0.6))
    assert len(milliseconds(scaled)) == 2
    assert milliseconds(scaled) != milliseconds(base)


def test_job_that_was_stopped_while_it_measured_continues(
    workplace: Workplace, asked: dict[str, Any]
) -> None:
    request = workplace.base_request("local/a/base", training=training(1), **asked)
    with stopping():
        assert workplace.run(request) == 75
    assert list(workplace.store.list(f"{FOLDER}/")) == [keys.latency_device_key(FOLDER)]
    assert len(milliseconds(workplace.succeed(request))) == 2


def test_other_device_is_refused_unless_the_latency_is_known(
    workplace: Workplace,
    asked: dict[str, Any],
    base: DetectorResult,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(relative_latency, "compared_device", lambda: "Tesla T4")
    known = workplace.student_request("local/a/trials/0000", parent_weights=base.weights, **asked)
    assert milliseconds(workplace.succeed(known)) == milliseconds(base)
    unknown = workplace.student_request(
        "local/a/trials/0001", parent_weights=base.weights, action=GROWN, **asked
    )
    assert workplace.run(unknown) == 1
    assert not workplace.has_result(unknown.key), "the candidate is not to blame"
    latency = base.scores[0].latency
    assert latency is not None
    said = capsys.readouterr().err
    assert f"measures latencies on {latency.device}, and this job runs on Tesla T4" in said
    assert "spec.jobs.nodeSelector" in said


def test_first_of_concurrent_jobs_decides(
    workplace: Workplace,
    asked: dict[str, Any],
    s3_environment: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = 6
    all_have_measured, times = threading.Barrier(jobs, timeout=60), count(1)

    def measured(contestants: list[TimedDetector], *_: Any) -> list[list[float]]:
        all_have_measured.wait()
        return [[next(times)] for _ in contestants]

    monkeypatch.setattr(relative_latency, "time_in_turns", measured)
    monkeypatch.setattr(relative_latency, "untrained_detector", lambda timed: timed)
    store = open_store(f"s3://{s3_environment.bucket}/latencies")
    request = workplace.base_request("local/a/base", **asked)
    wider = request.detector.model_copy(update={"fc": 24})
    data = DetectionData(request.data, "val", CLASSES)

    def ask(_: int) -> Latencies:
        return relative_latencies(_job(store, request), request.architecture, wider, data)

    with ThreadPoolExecutor(jobs) as threads:
        found = list(threads.map(ask, range(jobs)))
    assert len(found[0]) == 2
    assert all(one == found[0] for one in found)
    monkeypatch.setattr(relative_latency, "time_in_turns", lambda *_: pytest.fail("again"))
    assert ask(0) == found[0]


def _job(store: Any, request: BaseRequest) -> Any:
    """What a measurement needs of a job."""
    return cast(
        "Any",
        SimpleNamespace(
            request=request,
            replays=False,
            folder=SimpleNamespace(store=store),
            activity=lambda _: nullcontext(),
            report=lambda *_, **__: None,
            interruption=SimpleNamespace(check=lambda: None),
        ),
    )
