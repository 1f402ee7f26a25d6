"""The trainer's libraries and the GPUs, as the trainer itself finds them in its own process."""

import subprocess
import sys
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from detnas.findings import Finding, doubtful, faulty, good
from detnas.records.trainer_machine import GpuFacts, TrainerMachine

COMMAND = (sys.executable, "-m", "detnas_trainer.cli", "machine")
_SECONDS = 300
"""A cold disk takes a minute to import torch and mmdet."""

_INSTALL = "pip install 'detnas[trainer]'"
_SHOWN_LINES = 3


def ask_trainer_machine(command: Sequence[str] = COMMAND) -> TrainerMachine | Finding:
    """Return the trainer's answer, or a fault if it does not answer."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return faulty("trainer", f"no answer within {_SECONDS} s", "see what its disk waits for")
    lines = done.stdout.strip().splitlines()
    try:
        return TrainerMachine.model_validate_json(lines[-1] if lines else "")
    except ValidationError:
        said = " / ".join(done.stderr.strip().splitlines()[-_SHOWN_LINES:]) or "no output"
        return faulty("trainer", f"it ended with {done.returncode}: {said}", f"again: {_INSTALL}")


def trainer_findings(
    answer: TrainerMachine, driver_gpus: int, *, wants_gpu: bool
) -> Iterator[Finding]:
    """Judge what the trainer found.

    Args:
        answer: of the trainer.
        driver_gpus: that NVIDIA's driver shows.
        wants_gpu: the search's jobs request GPUs.
    """
    for name, problem in answer.missing.items():
        yield faulty(f"library {name}", problem, f"again: {_INSTALL}")
    if "torch" in answer.missing:
        return
    named = ("torch", "torchvision", "mmdet", "mmcv")
    versions = ", ".join(f"{one} {answer.versions[one]}" for one in named if one in answer.versions)
    yield good("libraries", versions)
    yield _operators(answer)
    yield _gpus(answer, driver_gpus, wants_gpu=wants_gpu)


def _operators(answer: TrainerMachine) -> Finding:
    if answer.operators_problem:
        return faulty(
            "mmcv's operators",
            answer.operators_problem,
            "take mmcv without compiled ones: pip install --force-reinstall --no-deps --no-binary "
            "onedl-mmcv onedl-mmcv",
        )
    own = "mmcv's own, compiled" if answer.compiled_operators else "torchvision's, in their place"
    return good("mmcv's operators", own)


def _gpus(answer: TrainerMachine, driver_gpus: int, *, wants_gpu: bool) -> Finding:
    broken = [f"{one.name}: {one.problem}" for one in answer.gpus if one.problem]
    if broken:
        return faulty(
            "GPU",
            "; ".join(broken),
            f"install a torch whose CUDA ({answer.cuda}) supports this GPU: "
            "https://pytorch.org/get-started/locally",
        )
    if answer.gpus:
        named = ", ".join(map(_named, answer.gpus))
        return good("GPU", f"{named}; torch for CUDA {answer.cuda}")
    if driver_gpus:
        return _unused(answer, driver_gpus)
    if wants_gpu:
        return doubtful(
            "GPU", "none, and the manifest's jobs ask for one", "they run on processors, slowly"
        )
    return good("GPU", "none; jobs run on processors")


def _unused(answer: TrainerMachine, driver_gpus: int) -> Finding:
    """The driver has GPUs that torch cannot use."""
    shown = f"the driver shows {driver_gpus}, and torch can use none"
    if not answer.cuda:
        return faulty(
            "GPU",
            f"{shown}: it was built without CUDA",
            "install a torch built for CUDA: https://pytorch.org/get-started/locally",
        )
    return faulty(
        "GPU",
        f"{shown}: {answer.gpu_problem or 'CUDA does not start'} (torch for CUDA {answer.cuda})",
        "update the driver, install a torch for the CUDA version that nvidia-smi shows, or check "
        "CUDA_VISIBLE_DEVICES",
    )


def _named(gpu: GpuFacts) -> str:
    return f"{gpu.name} ({gpu.memory / 2**30:.0f} GiB)"
