"""How soon a pass follows what happens in the cluster."""

import time
from functools import partial

import pytest

from detnas_operator.cluster.searches import SearchKey
from tests.cluster.control_plane import ControlPlane
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.operator.harness.fixtures import StartController


@pytest.mark.serial
def test_controller_makes_a_pass_within_a_quarter_second_of_an_event(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    key, delays = SearchKey(namespace, "r18"), []
    with controller() as running:
        cluster.api.create(manifest("r18"), namespace)
        running.until_watching(key)
        for number in range(20):
            version = running.suspend(key, number % 2 == 0)
            answered = time.perf_counter()
            seen = eventually(partial(running.passes_at, key, version))
            delays.append(seen[0].at - answered)
    print(f"event to pass: median {sorted(delays)[10] * 1000:.1f} ms, worst {max(delays):.3f} s")
    assert sorted(delays)[10] <= 0.25
