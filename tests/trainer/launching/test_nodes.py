import pytest

from detnas.errors import UserError
from detnas_trainer.launching.agent import exit_code
from detnas_trainer.launching.nodes import Nodes, nodes_from_environment

ENVIRONMENT = {
    "DETNAS_WORKERS": "4",
    "DETNAS_PROCESSES_PER_WORKER": "8",
    "DETNAS_RENDEZVOUS": "r101-pool-0-0.r101-pool-0:29500",
    "JOB_COMPLETION_INDEX": "3",
}


def test_a_pods_environment_says_which_node_it_is() -> None:
    nodes = nodes_from_environment(ENVIRONMENT)
    assert nodes == Nodes(
        index=3, count=4, processes=8, host="r101-pool-0-0.r101-pool-0", port=29500
    )
    assert nodes.reachable_host == nodes.host
    first = nodes_from_environment({**ENVIRONMENT, "JOB_COMPLETION_INDEX": "0"})
    assert first.reachable_host == "127.0.0.1"  # its own name may not resolve yet
    six = nodes_from_environment({**ENVIRONMENT, "DETNAS_RENDEZVOUS": "[fd00::1]:29500"})
    assert (six.host, six.port) == ("fd00::1", 29500)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DETNAS_WORKERS", ""),
        ("DETNAS_WORKERS", "0"),
        ("DETNAS_WORKERS", "two"),
        ("DETNAS_PROCESSES_PER_WORKER", "-1"),
        ("DETNAS_RENDEZVOUS", ""),
        ("DETNAS_RENDEZVOUS", "host"),
        ("DETNAS_RENDEZVOUS", ":29500"),
        ("DETNAS_RENDEZVOUS", "host:65536"),
        ("JOB_COMPLETION_INDEX", ""),
        ("JOB_COMPLETION_INDEX", "4"),
        ("DETNAS_RENDEZVOUS_SECONDS", "soon"),
        ("DETNAS_PEER_SECONDS", "0"),
        ("DETNAS_PEER_SECONDS", "inf"),
    ],
)
def test_what_is_missing_or_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(UserError, match=name):
        nodes_from_environment({**ENVIRONMENT, name: value})


@pytest.mark.parametrize(
    ("ended", "processes", "stopping", "code"),
    [
        (0, 0, False, 0),
        (None, 0, False, 0),  # the word may come later than the end
        (0, None, True, 0),  # it ended before it could be stopped
        (44, -15, False, 44),  # the agent ended the other ranks of rank 0's node
        (44, None, True, 44),
        (75, 75, True, 75),
        (75, -9, True, 75),  # it did not heed the wish to stop
        (75, -9, False, 1),  # its own loss is why the others stop
        (None, None, True, 75),
        (None, 2, False, 2),
        (None, 75, False, 75),  # the rank has lost the others
        (None, -9, False, 1),
        (None, 139, False, 1),
        (1, None, False, 1),
    ],
)
def test_all_end_as_rank_0_does_but_for_who_was_killed(
    ended: int | None, processes: int | None, stopping: bool, code: int
) -> None:
    assert exit_code(ended, processes, stopping=stopping) == code
