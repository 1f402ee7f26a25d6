"""Selection by estimates against selection by measurements, on landscapes that are known.

    python bench/selection.py [--seeds 40] [--trials 80]

Both searches have as many trials; compared is the true H of the trial that each takes for its best,
as a mean over the seeds with its standard error. `tests/detnas/search/landscape.py` has the
landscapes.
"""

import argparse
import time

from detnas.spec.search import Strategy
from tests.detnas.search.landscape import LANDSCAPES, compare

NOISES = (0.0, 0.005, 0.01, 0.02, 0.04)


def main() -> None:
    arguments = _arguments()
    print(f"{arguments.trials} trials, {arguments.seeds} seeds")
    print("landscape  strategy   noise   Observed    Shrunk   difference")
    for name, true_map in LANDSCAPES.items():
        for strategy in (Strategy.JOINT, Strategy.RANDOM):
            for noise in NOISES:
                began = time.process_time()
                found = compare(true_map, noise, range(arguments.seeds), arguments.trials, strategy)
                print(
                    f"{name:10s} {strategy:8s} {noise:7.3f} {found.observed:10.4f}"
                    f"{found.shrunk:10.4f}   {found.difference:+.4f} ± {found.error:.4f}"
                    f"   ({time.process_time() - began:.0f} s)",
                    flush=True,
                )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--trials", type=int, default=80)
    return parser.parse_args()


if __name__ == "__main__":
    main()
