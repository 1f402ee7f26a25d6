"""Two ranks over one process: images a second at the same total batch, on two processors.

    python -m bench.training.ranks [--rounds 3] [--steps 30]

One process with two threads and two ranks (gloo) with one thread each take turns; both train the
thin detector at 128×128, batch 8, through the train loop. Target: a ratio of at least 0.9.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
from statistics import median

from detnas_trainer.process_setup import set_up_openmp


def main() -> None:
    """Measure in turns and print the ratio, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--measured", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measured:
        _measure(options.steps)
        return
    one, two = [], []
    for _ in range(options.rounds):
        one.append(_images_per_second(1, options.steps))
        two.append(_images_per_second(2, options.steps))
        print(f"one process {one[-1]:.1f} images/s, two ranks {two[-1]:.1f}", flush=True)
    ratios = [shared / alone for alone, shared in zip(one, two, strict=True)]
    print(f"two ranks over one process: {median(ratios):.2f} (target: at least 0.9)")


def _images_per_second(ranks: int, steps: int) -> float:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.training.ranks", "--measured", "--steps", str(steps)],
            env={**os.environ, **_environment(rank, ranks, port)},
            stdout=subprocess.PIPE,
        )
        for rank in range(ranks)
    ]
    first, *_ = [process.communicate()[0] for process in processes]
    return float(json.loads(first))


def _environment(rank: int, ranks: int, port: int) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": str(2 // ranks)}
    if ranks == 1:
        return threads
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_PORT": port}
    return {**threads, "MASTER_ADDR": "127.0.0.1", **{n: str(v) for n, v in place.items()}}


def _measure(steps: int) -> None:
    """Train, and print the images a second."""
    set_up_openmp()  # before torch is imported
    from bench.training.ranks_training import images_per_second

    speed = images_per_second(steps)
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps(speed))


if __name__ == "__main__":
    main()
