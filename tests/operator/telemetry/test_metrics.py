"""What a scrape shows, and that deleted searches leave it."""

import urllib.request
from dataclasses import replace

import prometheus_client
import pytest

from detnas.errors import UserError
from detnas.store.errors import StoreUnavailable
from detnas_operator.queue.work_queue import QueueState
from detnas_operator.telemetry import metrics as module
from detnas_operator.telemetry.metrics import Metrics
from tests.ports import free_ports

STATE = QueueState(3, 2, 1.5, 1, 0.5, 0.1)


def scrape(metrics: Metrics) -> dict[str, float]:
    text = prometheus_client.generate_latest(metrics.registry).decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines if name.startswith("detnas_")}


def test_metrics_count_passes_writes_store_errors_and_trials() -> None:
    metrics = Metrics()
    metrics.count_pass("ok", 0.02)
    metrics.count_pass("ok", 2.0)
    metrics.count_pass("Unavailable", 0.1)
    metrics.count_write("create", "jobs", "ok")
    metrics.count_store_error(StoreUnavailable("away"))
    metrics.count_trials("succeeded")
    found = scrape(metrics)
    assert found['detnas_reconcile_seconds_count{outcome="ok"}'] == 2
    assert found['detnas_reconcile_seconds_bucket{le="0.025",outcome="ok"}'] == 1
    assert found['detnas_reconcile_seconds_count{outcome="Unavailable"}'] == 1
    assert found['detnas_api_writes_total{kind="jobs",outcome="ok",verb="create"}'] == 1
    assert found['detnas_store_errors_total{error="StoreUnavailable"}'] == 1
    assert found['detnas_trials_total{outcome="succeeded"}'] == 1


def test_metrics_count_searches_by_phase_until_deleted() -> None:
    metrics = Metrics()
    metrics.set_search("a", "x", phase="Searching", gpu_hours=1.5, best_h=0.5, base_h=0.4)
    metrics.set_search("a", "y", phase="Pending")
    metrics.set_search("a", "y", phase="Searching")
    found = scrape(metrics)
    assert found['detnas_searches{phase="Searching"}'] == 2
    assert not any("Pending" in name for name in found)
    assert found['detnas_search_best_h{namespace="a",search="x"}'] == 0.5
    assert found['detnas_search_gpu_hours{namespace="a",search="x"}'] == 1.5
    metrics.forget_search("a", "x")
    metrics.forget_search("a", "y")
    metrics.forget_search("a", "never seen")
    assert not [name for name in scrape(metrics) if "search" in name]


def test_metrics_have_one_series_per_degraded_search() -> None:
    metrics = Metrics()

    def series(degraded: str | None) -> dict[str, float]:
        metrics.set_search("a", "x", phase="Searching")
        metrics.set_degraded("a", "x", degraded)
        return {name: value for name, value in scrape(metrics).items() if "degraded" in name}

    assert series(None) == {}
    labels = 'namespace="a",reason="{}",search="x"'
    for reason in ("ImagePull", "QuotaExceeded"):
        assert series(reason) == {f"detnas_search_degraded{{{labels.format(reason)}}}": 1}
    assert series(None) == {}
    series("ImagePull")
    metrics.forget_search("a", "x")
    assert not [name for name in scrape(metrics) if "degraded" in name]


def test_metrics_bound_series_of_single_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SEARCHES", 2)
    metrics = Metrics()
    for number in range(5):
        metrics.set_search("a", f"s{number}", phase="Searching", best_h=0.5)
        metrics.set_degraded("a", f"s{number}", "ImagePull")
    found = scrape(metrics)
    assert found['detnas_searches{phase="Searching"}'] == 5
    for figure in ("best_h", "degraded"):
        assert len([name for name in found if figure in name]) == 2


def test_metrics_read_the_queue_at_every_scrape() -> None:
    metrics, states = Metrics(), [STATE]
    metrics.watch_queue(lambda: states[-1])
    assert scrape(metrics)["detnas_queue_depth"] == 2
    assert scrape(metrics)["detnas_queue_oldest_wait_seconds"] == 1.5
    states.append(replace(STATE, depth=7))
    assert scrape(metrics)["detnas_queue_depth"] == 7


def test_metrics_server_names_a_taken_port() -> None:
    (port,) = free_ports(1)
    metrics = Metrics()
    metrics.count_trials("invalid")
    end = metrics.serve(port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert b'detnas_trials_total{outcome="invalid"} 1.0' in answer.read()
        with pytest.raises(UserError, match=str(port)):
            Metrics().serve(port)
    finally:
        end()
