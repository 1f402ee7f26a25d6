"""The operator runs as its own process, by its own account, and comes back after a kill."""

from collections.abc import Callable

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.installation import install
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.waiting import eventually
from tests.seaweed import S3Server


@pytest.mark.parametrize("forked", [False, True])
def test_operator_process_is_killed_restarts_and_ends(
    cluster: ControlPlane,
    namespace: str,
    s3_server: S3Server,
    operators: Callable[..., OperatorProcess],
    *,
    forked: bool,
) -> None:
    with FaultProxy(cluster.api.server, cluster.api.ca) as proxy:
        installation = install(cluster, s3_server, [namespace])
        operator = operators(installation, server=proxy.url, forked=forked)
        operator.start()
        eventually(lambda: watches(proxy))
        operator.kill()
        before = watches(proxy)
        assert not operator.is_running
        assert operator.health()[0] == 0
        operator.start()
        assert "# HELP" in operator.metrics()
        eventually(lambda: watches(proxy) > before)  # from then on it minds SIGTERM
        assert operator.stop() == 0
        assert operator.log


def watches(proxy: FaultProxy) -> int:
    """How many watches were begun by way of a proxy."""
    return sum(call.is_watch for call in proxy.journal.calls)
