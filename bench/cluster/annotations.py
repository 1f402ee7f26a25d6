"""Memory that large annotations of others on a search's Jobs add to the operator.

    python -m bench.cluster.annotations [--jobs 1000] [--kilobytes 250]

Real API server. An operator watches a namespace; Jobs of a search are made there, small ones; then
annotations are added to all of them, as somebody may who can edit the namespace; then the operator
starts anew, and lists them. Aim: what is added stays below 64 MiB, and all below the chart's limit.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.cluster.surroundings import surroundings
from tests.cluster.api import JOBS
from tests.cluster.jobs import job
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.searches import manifest

THREADS = 4
LABELS = {"app.kubernetes.io/managed-by": "detnas", "detnas.dev/search": "one"}


def main() -> None:
    arguments = _arguments()
    with surroundings() as around, ThreadPoolExecutor(THREADS) as threads:
        api, namespace = around.cluster.api, around.namespace
        names = [f"filled-{number}" for number in range(arguments.jobs)]

        def make(name: str) -> None:
            made = job(name, LABELS, owner)
            made["spec"]["suspend"] = True
            api.create(made, namespace)

        def fill(name: str) -> None:
            note = {"team.example/note": "x" * (1000 * arguments.kilobytes)}
            api.patch(JOBS, namespace, name, {"metadata": {"annotations": note}})

        search = manifest("one")
        search["spec"]["suspend"] = True
        owner = api.create(search, namespace)
        operator = around.operator()
        operator.start()
        list(threads.map(make, names))
        before = _most_memory(operator, lambda: time.sleep(10))
        while_filled = _most_memory(operator, lambda: list(threads.map(fill, names)))
        after = _most_memory(operator, lambda: time.sleep(10))
        operator.stop()
        operator.start(wait=False)
        restarted = _most_memory(operator, lambda: time.sleep(20))
        operator.stop()
    print(
        f"{arguments.jobs} Jobs: {before:.0f} MiB; while {arguments.kilobytes} KB are added to "
        f"each at most {while_filled:.0f} MiB, then {after:.0f} MiB; after a restart at most "
        f"{restarted:.0f} MiB (limit 512)"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--kilobytes", type=int, default=250, help="added to each Job")
    return parser.parse_args()


def _most_memory(operator: OperatorProcess, do: Callable[[], object]) -> float:
    """Do something, and return the most MiB that the operator had meanwhile."""
    most = operator.memory()
    with ThreadPoolExecutor(1) as threads:
        doing = threads.submit(do)
        while not doing.done():
            most = max(most, operator.memory())
            time.sleep(0.05)
        doing.result()
    return most / 2**20


if __name__ == "__main__":
    main()
