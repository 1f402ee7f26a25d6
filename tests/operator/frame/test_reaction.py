"""How soon a pass follows what happens in the cluster."""

import time
from functools import partial

import pytest

from detnas_operator.cluster.cache import SearchKey
from tests.cluster.control_plane import ControlPlane
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.operator.frame.conftest import Start
from tests.operator.frame.seeing import passes_of, see_by_watch, suspend


@pytest.mark.serial
def test_a_pass_follows_its_event_at_once(
    frame: Start, cluster: ControlPlane, namespace: str
) -> None:
    key, delays = SearchKey(namespace, "r18"), []
    with frame() as running:
        cluster.api.create(manifest("r18"), namespace)
        see_by_watch(cluster, running, key)
        for number in range(20):
            version = suspend(cluster, key, number % 2 == 0)
            answered = time.perf_counter()
            seen = eventually(partial(passes_of, running, key, version))
            delays.append(seen[0].at - answered)
    print(f"event to pass: median {sorted(delays)[10] * 1000:.1f} ms, worst {max(delays):.3f} s")
    assert sorted(delays)[10] <= 0.25
