"""How often the operator lists pods and events for searches that wait.

    python -m bench.cluster.waiting [--searches 300] [--namespaces 1] [--seconds 60] [--queued]

Real etcd, API server and Job controller behind a proxy that counts requests; no pod is ever given a
node, so that every search waits with its first Job. With ``--queued`` Kueue would have to admit the
Jobs. Aim: a few lists a minute and namespace, none for queued Jobs. Every search used to list for
itself, twice every ten seconds: 12 lists a minute and search.
"""

import argparse
import time
from collections import Counter

from bench.cluster.surroundings import Surroundings, metric, surroundings
from tests.cluster.api import JOBS
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.fixtures import make_namespace
from tests.cluster.installation import install
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.searches import manifest

SETTLE_SECONDS = 45
CPU = "process_cpu_seconds_total"


def main() -> None:
    arguments = _arguments()
    with (
        surroundings() as around,
        FaultProxy(around.cluster.api.server, around.cluster.api.ca) as api,
    ):
        rooms = [make_namespace(around.cluster, "wait") for _ in range(arguments.namespaces)]
        installed = install(around.cluster, around.server, rooms)
        operator = OperatorProcess(installed, around.folder / "counted", api.url)
        operator.start()
        _apply(around, rooms, arguments)
        _await_jobs(around, rooms, arguments.searches)
        time.sleep(SETTLE_SECONDS)
        first, used = len(api.journal.calls), metric(operator.metrics(), CPU)
        time.sleep(arguments.seconds)
        calls = api.journal.calls[first:]
        used = metric(operator.metrics(), CPU) - used
        operator.stop()
    lists = Counter(
        _kind(call.path) for call in calls if call.method == "GET" and not call.is_watch
    )
    minutes = arguments.seconds / 60
    print(f"{arguments.searches} searches wait in {arguments.namespaces} namespaces")
    for kind in ("pods", "events"):
        print(f"  lists of {kind}: {lists[kind] / minutes:.1f} a minute")
    print(f"  processor of the operator: {100 * used / arguments.seconds:.0f} % of a core")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--namespaces", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60, help="that are counted")
    parser.add_argument("--queued", action="store_true", help="Jobs that Kueue has to admit")
    return parser.parse_args()


def _apply(around: Surroundings, rooms: list[str], arguments: argparse.Namespace) -> None:
    sections = {"jobs": {"queueName": "gold"}} if arguments.queued else {}
    for number in range(arguments.searches):
        search = manifest(f"search-{number}", sections, seed=number)
        around.cluster.api.create(search, rooms[number % len(rooms)])


def _await_jobs(around: Surroundings, rooms: list[str], count: int) -> None:
    while sum(len(around.cluster.api.list(JOBS, room)) for room in rooms) < count:
        time.sleep(1)


def _kind(path: str) -> str:
    return path.rpartition("/")[2]


if __name__ == "__main__":
    main()
