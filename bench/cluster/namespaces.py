"""Memory and start of an operator that watches many listed namespaces.

    python -m bench.cluster.namespaces [--namespaces 1000] [--seconds 30] [--searches 10]

Real API server and S3, the chart installed for that many namespaces. It takes minutes to make them.
Then an operator starts: how soon is every namespace watched, how many requests does that take, what
is its memory after so many seconds more, and does its log have errors? Searches in some of the
namespaces must then be accepted. Aims: the chart's limit of 512 MiB, no line of an error.
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor

from bench.cluster.surroundings import Surroundings, metric, surroundings
from tests.cluster.api import SEARCHES
from tests.cluster.fixtures import make_namespace
from tests.cluster.installation import install
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.searches import manifest

THREADS = 8
KINDS = (("detnas.dev", "detnassearches"), ("batch", "jobs"))


def main() -> None:
    arguments = _arguments()
    with surroundings() as around:
        began = time.monotonic()
        with ThreadPoolExecutor(THREADS) as threads:
            names = list(
                threads.map(
                    lambda _: make_namespace(around.cluster, "many"), range(arguments.namespaces)
                )
            )
        installation = install(around.cluster, around.server, names)
        print(f"{len(names)} namespaces were made in {time.monotonic() - began:.0f} s")
        before = _lists(around)
        operator = OperatorProcess(installation, around.folder / "many")
        operator.start(wait=False)
        _time_start(around, operator, 2 * len(names))
        time.sleep(arguments.seconds)
        print(
            f"memory: {operator.memory() / 2**20:.0f} MiB after {arguments.seconds:.0f} s more "
            f"(limit 512); {_lists(around) - before:.0f} lists were asked for"
        )
        _time_searches(around, names[:: max(1, len(names) // arguments.searches)])
        print(f"lines of errors: {_errors(operator)} (aim 0)")
        operator.stop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--namespaces", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30, help="before memory is looked at")
    parser.add_argument("--searches", type=int, default=10, help="that are applied in the end")
    return parser.parse_args()


def _time_start(around: Surroundings, operator: OperatorProcess, streams: int) -> None:
    began, most = time.monotonic(), 0
    while (open_now := _open_streams(around)) < streams:
        assert operator.is_running, operator.log[-4000:]
        most = max(most, operator.memory())
        if time.monotonic() - began > 600:
            raise SystemExit(f"only {open_now} of {streams} streams are open after 10 minutes")
        time.sleep(0.5)
    most = max(most, operator.memory())
    print(
        f"all {streams} streams are open after {time.monotonic() - began:.0f} s; "
        f"at most {most / 2**20:.0f} MiB until then"
    )


def _open_streams(around: Surroundings) -> int:
    """Watches of our kinds in one namespace: the controllers watch the whole cluster."""
    return int(_sum(around, "apiserver_longrunning_requests", scope="namespace", verb="WATCH"))


def _lists(around: Surroundings) -> float:
    return _sum(around, "apiserver_request_total", scope="namespace", verb="LIST")


def _sum(around: Surroundings, name: str, **labels: str) -> float:
    text = around.cluster.api.request("GET", "metrics")
    return sum(metric(text, name, group=group, resource=kind, **labels) for group, kind in KINDS)


def _time_searches(around: Surroundings, names: list[str]) -> None:
    api, began = around.cluster.api, time.monotonic()
    for name in names:
        api.create(manifest("one"), name)
    waiting = set(names)
    while waiting:
        waiting -= {
            name for name in waiting if (api.get(SEARCHES, name, "one").get("status") or {})
        }
        assert time.monotonic() - began < 120, f"nothing is said in {sorted(waiting)}"
        time.sleep(0.2)
    print(f"{len(names)} searches have a status after {time.monotonic() - began:.1f} s")


def _errors(operator: OperatorProcess) -> int:
    lines = [json.loads(line) for line in operator.log.splitlines() if line.startswith("{")]
    others = sum(not line.startswith("{") for line in operator.log.splitlines())
    return others + sum(
        str(line.get("level", line.get("severity"))).upper() in ("ERROR", "CRITICAL")
        for line in lines
    )


if __name__ == "__main__":
    main()
