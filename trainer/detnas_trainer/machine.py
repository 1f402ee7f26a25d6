"""What the trainer's libraries find on this machine, for `detnas doctor`: each part by itself.

Nothing here may keep the rest from being looked at, so every error becomes a line of the answer.
"""

import importlib
import warnings
from importlib.metadata import PackageNotFoundError, version

from detnas.records.trainer_machine import GpuFacts, TrainerMachine

_LIBRARIES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "mmcv": "onedl-mmcv",
    "mmengine": "onedl-mmengine",
    "mmdet": "onedl-mmdetection",
    "cv2": "opencv-python-headless",
    "faster_coco_eval": "faster-coco-eval",
    "pycocotools": "pycocotools",
    "safetensors": "safetensors",
}
"""Modules of the trainer, with the distributions that bring them."""


def trainer_machine() -> TrainerMachine:
    """Import everything that jobs need, and compute a little on every device."""
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    _stand_in()
    for module, distribution in _LIBRARIES.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 # whatever a broken library raises
            missing[module] = _words(error)
        else:
            versions[module] = _version(distribution, module)
    if "torch" in missing:
        return TrainerMachine(versions=versions, missing=missing)
    cuda, gpus, gpu_problem, threads = _devices()
    compiled, operators_problem = _operators(on_gpu=bool(gpus))
    return TrainerMachine(
        versions=versions,
        missing=missing,
        cuda=cuda,
        gpus=gpus,
        gpu_problem=gpu_problem,
        compiled_operators=compiled,
        operators_problem=operators_problem,
        threads=threads,
    )


def _stand_in() -> None:
    """Let mmcv be imported without compiled operators, as jobs do; its errors are found below."""
    try:
        from detnas_trainer.mmcv_ext import install

        install()
    except Exception:  # noqa: BLE001, S110 # importing mmcv fails alike, and is reported
        pass


def _version(distribution: str, module: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # another distribution of the same module
        return str(getattr(importlib.import_module(module), "__version__", "unknown"))


def _devices() -> tuple[str, tuple[GpuFacts, ...], str, int]:
    """CUDA's version, the GPUs, why there are none, and the threads of the processor."""
    import torch

    cuda = torch.version.cuda or torch.version.hip or ""
    with warnings.catch_warnings(record=True) as caught:  # torch warns why CUDA does not start
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
        count = torch.cuda.device_count() if available else 0
    problem = "" if available or not caught else _first_line(str(caught[0].message))
    return cuda, tuple(map(_gpu, range(count))), problem, torch.get_num_threads()


def _gpu(index: int) -> GpuFacts:
    import torch

    properties = torch.cuda.get_device_properties(index)
    problem = ""
    try:
        ones = torch.ones(64, 64, device=f"cuda:{index}")
        if float((ones @ ones).sum()) != 64**3:
            problem = "a product of matrices is wrong"
    except Exception as error:  # noqa: BLE001 # CUDA's errors have no common class
        problem = _words(error)
    return GpuFacts(name=properties.name, memory=properties.total_memory, problem=problem)


def _operators(*, on_gpu: bool) -> tuple[bool, str]:
    """Whether mmcv's own operators are used, and why suppression does not compute."""
    try:
        import torch

        extension = importlib.import_module("mmcv._ext")
        ops = importlib.import_module("mmcv.ops")
        device = "cuda" if on_gpu else "cpu"
        boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.0]], device=device)
        kept, _ = ops.nms(boxes, torch.tensor([0.9, 0.8], device=device), 0.5)
        compiled = getattr(extension, "__file__", None) is not None
        return compiled, "" if len(kept) == 1 else "suppression keeps the wrong boxes"
    except Exception as error:  # noqa: BLE001 # whatever a broken library raises
        return False, _words(error)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {_first_line(str(error))}"


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0][:300] if lines else "no message"
