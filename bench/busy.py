"""What a busy machine costs a job on CPU: training steps a second, alone and beside busy loops.

    python -m bench.busy [--rounds 6] [--threads 2] [--spins 0 1000 5000]

For each way in which OpenMP's threads may wait, a process trains a thin ResNet-18 with as many
threads as there are processors; only one of the processes runs at a time. In every round each of
them is timed alone and then beside as many busy loops as there are processors, in turn, so that
whatever else the machine does meets all alike. "beside/alone" is the median of the rounds' ratios;
a fair share beside as many loops as threads is 0.5. Run it on a machine that is quiet otherwise:
the spread of the steps alone says whether it was. It takes two minutes; each of `--spins`, which
compares other numbers of turns that GNU's OpenMP may spin, half a minute more.
"""

import argparse
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from statistics import median

from detnas.processors import processors

TRAINER = "detnas"
WAYS: dict[str, dict[str, str]] = {
    TRAINER: {},  # passively, as the trainer sets it up
    "default": {},  # OpenMP's own: spin for some milliseconds, then sleep
    "active": {"OMP_WAIT_POLICY": "ACTIVE"},
}
SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

ENCODING = "[(16, 16)-(16, 16)], [(32, 32)-(32, 32)], [(64, 64)-(64, 64)], [(128, 128)-(128, 128)]"
CLASSES, IMAGES, SIDE = 10, 8, 128
UNTIMED_SECONDS, ALONE_SECONDS, BESIDE_SECONDS = 1.0, 2.0, 3.0
AIM_BESIDE, AIM_ALONE = 0.4, 0.97


@dataclass
class Trainer:
    """A process that trains for some seconds when it is asked to, and is stopped otherwise.

    Threads that wait actively would take the processors from the others also between its turns.
    """

    way: str
    waiting: dict[str, str]
    threads: int
    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)

    @contextmanager
    def started(self) -> Iterator[None]:
        clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        environment = {**clean, **self.waiting, "OMP_NUM_THREADS": str(self.threads)}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "bench.busy", "--serve", self.way],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            self.steps_a_second(UNTIMED_SECONDS)
            yield
        finally:
            self._process.kill()
            self._process.wait()

    def steps_a_second(self, seconds: float) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        found = float(self._process.stdout.readline())
        self._process.send_signal(signal.SIGSTOP)
        return found

    @property
    def ratios(self) -> list[float]:
        return [beside / alone for beside, alone in zip(self.beside, self.alone, strict=True)]


def serve(way: str) -> None:
    """Train for as many seconds as each line of stdin says, and answer with steps a second."""
    if way == TRAINER:
        from detnas_trainer.process_setup import set_up_openmp

        set_up_openmp()
    with redirect_stdout(io.StringIO()):  # what imports print is no answer
        step = build_step()
    for line in sys.stdin:
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < float(line):
            step()
            steps += 1
        print(steps / (time.perf_counter() - start), flush=True)


def build_step() -> Callable[[], None]:
    import torch

    from bench.training.steps import noise_batch, training_step
    from detnas.architecture import parse
    from detnas.records.settings import DetectorShape
    from detnas_trainer.detector import build_detector

    torch.manual_seed(0)
    shape = DetectorShape(neck=32, fc=128, proposals=100, roi_samples=64, anchor_scale=4)
    detector = build_detector(parse(ENCODING, stem=16), shape, CLASSES).train()
    inputs, samples = noise_batch(IMAGES, SIDE, CLASSES)
    return training_step(detector, lambda: detector.loss(inputs, samples))


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    with ExitStack() as loops:
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            loops.callback(process.wait)
            loops.callback(process.kill)
        yield


def measure(trainers: list[Trainer], rounds: int) -> None:
    for number in range(rounds):
        for trainer in trainers:
            trainer.alone.append(trainer.steps_a_second(ALONE_SECONDS))
        with busy_loops(processors()):
            for trainer in trainers:
                trainer.beside.append(trainer.steps_a_second(BESIDE_SECONDS))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)


def summary(trainers: list[Trainer]) -> Iterator[str]:
    yield f"{'waiting':10}{'alone':>22}{'beside loops':>22}{'beside/alone':>20}   (steps a second)"
    for trainer in trainers:
        columns = (f"{_spread(values, 2):>22}" for values in (trainer.alone, trainer.beside))
        yield f"{trainer.way:10}{''.join(columns)}{_spread(trainer.ratios, 2):>20}"
    ours, *others = trainers
    yield f"beside/alone, {ours.way}: {median(ours.ratios):.2f} (aim: at least {AIM_BESIDE})"
    for other in others:
        pairs = zip(ours.alone, other.alone, strict=True)
        ratios = [own / others_own for own, others_own in pairs]
        yield f"alone, {ours.way}/{other.way}: {_spread(ratios, 3)} (aim: at least {AIM_ALONE})"


def _spread(values: list[float], digits: int) -> str:
    """Median, and between which values the middle half of them lies."""
    ordered, quarter = sorted(values), len(values) // 4
    low, high = ordered[quarter], ordered[-1 - quarter]
    return f"{median(values):.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=processors(), help="of each process")
    parser.add_argument("--spins", type=int, nargs="*", default=[], help="more to compare")
    parser.add_argument("--serve", metavar="WAY", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    spins = {
        f"spin {spins}": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": str(spins)}
        for spins in arguments.spins
    }
    ways = {**WAYS, **spins}
    trainers = [Trainer(way, waiting, arguments.threads) for way, waiting in ways.items()]
    with ExitStack() as started:
        for trainer in trainers:
            started.enter_context(trainer.started())
        measure(trainers, arguments.rounds)
    print("\n".join(summary(trainers)))


if __name__ == "__main__":
    main()
