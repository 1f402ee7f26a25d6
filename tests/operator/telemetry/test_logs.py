"""Lines that a log collector can read, each saying what it is about."""

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from detnas_operator.telemetry.logs import about, configure_logs

log = logging.getLogger("detnas_operator.test")

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    root, output = logging.getLogger(), io.StringIO()
    monkeypatch.setattr(root, "handlers", [])  # pytest's own stay as they are
    monkeypatch.setattr(sys, "stderr", output)
    levels = {
        name: logging.getLogger(name).level
        for name in ("", "aiohttp.access", "urllib3", "botocore")
    }
    configure_logs("INFO")
    yield lambda: [json.loads(line) for line in output.getvalue().splitlines()]
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=False)


def test_log_line_is_a_json_object_with_its_subject(lines: Lines) -> None:
    with about(search="r18", namespace="team"):
        with about(trial=7, job="r18-t0007"):
            log.info("created %s\nat once", "ü")
        log.warning("done")
    log.info("idle")
    first, second, third = lines()
    assert first["message"] == "created ü\nat once"
    assert first["time"].endswith("Z")
    assert {k: first[k] for k in ("search", "namespace", "trial", "job", "level")} == {
        "search": "r18",
        "namespace": "team",
        "trial": 7,
        "job": "r18-t0007",
        "level": "INFO",
    }
    assert "trial" not in second
    assert "search" not in third


def test_log_subjects_of_threads_do_not_mix(lines: Lines) -> None:
    barrier = threading.Barrier(2)

    def work(name: str) -> None:
        with about(search=name):
            barrier.wait()
            log.info(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = lines()
    assert len(found) == 2
    assert all(line["search"] == line["message"] for line in found)


def test_logs_silence_libraries_and_carry_tracebacks(lines: Lines) -> None:
    logging.getLogger("aiohttp.access").info("handled")
    logging.getLogger("urllib3.connectionpool").warning("pool is full")
    logging.getLogger("botocore.credentials").info("found credentials")
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("failed")
    (line,) = lines()
    assert "ValueError: broken" in line["error"]
