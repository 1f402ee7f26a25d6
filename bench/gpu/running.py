"""Runs the parts one after the other, each in a process of its own that may take so long."""

import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gpu import correctness, jobs, memory, steps
from bench.gpu.figures import Figures, read_lines, table
from bench.gpu.scale import Scale, full_scale, thin_scale
from detnas_trainer.openmmlab import register_all_modules
from detnas_trainer.warm import visible_devices

Measure = Callable[[Figures, Scale, Path], None]
"""Measures one part; the folder is its own."""


@dataclass(frozen=True)
class Part:
    """A part, and how many seconds it may take: less than eight minutes for all together."""

    name: str
    seconds: float
    measure: Measure


PARTS = (
    Part("correctness", 50, correctness.measure),
    Part("digits", 75, jobs.digits),
    Part("runner", 70, steps.runner),
    Part("precision", 30, steps.precision),
    Part("distillation", 45, steps.distillation),
    Part("supernet", 60, steps.supernet),
    Part("data", 35, jobs.data),
    Part("trial", 60, jobs.trial),
    Part("memory", 20, memory.out_of_memory),
    Part("batch norms", 20, memory.synchronised_batch_norms),
)


def run_parts(
    device: str, thin: bool, folder: Path | None = None, only: Sequence[str] | None = None
) -> int:
    """Measure every part, or those named; print the table; return the exit code."""
    if device == "cuda" and not visible_devices():
        print("torch sees no GPU here: --device cpu --thin tries the bench without one")
        return 2
    register_all_modules(init_default_scope=False)
    scale = thin_scale(device) if thin else full_scale(device)
    with tempfile.TemporaryDirectory() as temporary:
        folder = folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "figures.jsonl"
        file.write_text("")
        for part in PARTS:
            if only is None or part.name in only:
                _run(part, Figures(part.name, file, judges=not thin), scale)
        lines = read_lines(file)
        (folder / "figures.txt").write_text(table(lines) + "\n")
    print(table(lines))
    return int(any("failed" in line for line in lines))


def _run(part: Part, figures: Figures, scale: Scale) -> None:
    start = time.monotonic()
    reading, writing = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=_measure, args=(part, figures, scale, writing.send)
    )
    process.start()
    # A thin detector is tried on machines that have other work to do.
    process.join(part.seconds * (10 if scale.thin else 1))
    failure = reading.recv() if reading.poll() else ""
    if process.is_alive():
        process.kill()
        process.join()
        failure = f"took more than {part.seconds:g} s"
    elif process.exitcode and not failure:
        failure = f"its process ended with exit code {process.exitcode}"
    figures.end(time.monotonic() - start, failure)


def _measure(part: Part, figures: Figures, scale: Scale, tell: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DETNAS_CACHE"] = f"{folder}/cache"
        try:
            part.measure(figures, scale, Path(folder))
        except Exception as error:  # noqa: BLE001 - the other parts are measured all the same
            traceback.print_exc()
            tell(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
