"""Small requests to S3, as the operator makes them: obstore before boto3, and boto3 alone.

    python -m bench.cluster.requests [--threads 16] [--requests 2000] [--rounds 5]

Real S3 server on the same machine. Both clients make the same requests from as many threads, in
turns. Printed are medians of the rounds, in milliseconds per request: of the clock, and computed by
this process; and the ratio of boto3's to obstore's within a round.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from detnas.store.s3 import S3Store
from detnas.store.s3_client import Patience, client_from_environment
from detnas_operator.tenant_store.fast_client import fast_client_from_environment
from tests.seaweed import running_server

RECORD = b"x" * 1500
OBJECTS = 50
Verb = Callable[[S3Store, int], object]
VERBS: dict[str, Verb] = {
    "put": lambda store, number: store.put(f"{number % OBJECTS}.json", RECORD),
    "get": lambda store, number: store.get(f"{number % OBJECTS}.json"),
    "get of nothing": lambda store, number: store.get(f"absent/{number % OBJECTS}.json"),
    "size": lambda store, number: store.size(f"{number % OBJECTS}.json"),
}


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, running_server(Path(folder)) as s3:
        os.environ.update(s3.environment())
        boto3 = client_from_environment(Patience(), arguments.threads)
        fast = fast_client_from_environment(Patience(), arguments.threads)
        stores = [
            S3Store(s3.bucket, "bench", lambda: boto3),
            S3Store(s3.bucket, "bench", lambda: fast),
        ]
        for what, verb in VERBS.items():
            rounds = [
                [measure(verb, store, arguments.threads, arguments.requests) for store in stores]
                for _ in range(arguments.rounds)
            ]
            print(f"{what}: {_line(rounds)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--requests", type=int, default=2000, help="of each verb, client and round")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def measure(verb: Verb, store: S3Store, threads: int, requests: int) -> tuple[float, float]:
    """Return milliseconds per request, of the clock and computed."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda number: verb(store, number), range(2 * threads)))
        began, computed = time.perf_counter(), time.process_time()
        list(pool.map(lambda number: verb(store, number), range(requests)))
        passed = time.perf_counter() - began, time.process_time() - computed
    return 1000 * passed[0] / requests, 1000 * passed[1] / requests


def _line(rounds: list[list[tuple[float, float]]]) -> str:
    parts = []
    for index, clock in enumerate(("passed", "computed")):
        by_boto3 = median(boto3[index] for boto3, _ in rounds)
        by_obstore = median(fast[index] for _, fast in rounds)
        ratio = median(boto3[index] / fast[index] for boto3, fast in rounds)
        parts.append(f"{by_boto3:.2f} and {by_obstore:.2f} ms {clock}, ratio {ratio:.1f}")
    return "; ".join(parts)


if __name__ == "__main__":
    main()
