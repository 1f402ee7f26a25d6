"""Runs an exported mmdet folder by mmdet itself, in the form of the other files."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detnas.optional_imports import find_module, require_module

Arrays = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


class MmdetFolder:
    """A detector that mmdet has loaded from its folder, on the CPU.

    Args:
        checkpoint: `detector.pth`, beside `detector.py` and the modules that this imports.
        threads: that one run may use; by default what torch takes.

    Raises:
        UserError: mmdet is not installed.
    """

    def __init__(self, checkpoint: Path, threads: int | None) -> None:
        self._torch = require_module("torch", "running an mmdet folder", "torch")
        if threads is not None:
            self._torch.set_num_threads(threads)
        folder = checkpoint.parent
        sys.path.insert(0, str(folder))
        config = str(folder / "detector.py")
        with redirect_stdout(sys.stderr):  # they print what they import and load
            find_module("detnas_mmcv_ext")  # before mmdet: see the folder's README
            apis = require_module("mmdet.apis", "running an mmdet folder", "mmdet")
            self._detector = apis.init_detector(
                config, str(checkpoint), palette="none", device="cpu"
            )
            structures = require_module("mmdet.structures", "it", "mmdet")
        self._sample: Any = structures.DetDataSample

    def __call__(self, images: NDArray[np.uint8], sizes: NDArray[np.float32]) -> Arrays:
        """Boxes, scores and labels, padded to the most that one of the images has."""
        pairs = zip(images, sizes.astype(int).tolist(), strict=True)
        inputs, samples = [], []
        for pixels, (height, width) in pairs:
            bgr = np.ascontiguousarray(pixels[::-1, :height, :width])  # as mmdet reads files
            inputs.append(self._torch.from_numpy(bgr))
            shape = {"img_shape": (height, width), "ori_shape": (height, width)}
            samples.append(self._sample(metainfo={**shape, "scale_factor": (1.0, 1.0)}))
        with self._torch.inference_mode():
            found = self._detector.test_step({"inputs": inputs, "data_samples": samples})
        return _stacked([one.pred_instances for one in found])


def _stacked(found: list[Any]) -> Arrays:
    most = max((len(one.scores) for one in found), default=0)
    boxes = np.zeros((len(found), most, 4), np.float32)
    scores = np.zeros((len(found), most), np.float32)
    labels = np.zeros((len(found), most), np.int64)
    for row, one in enumerate(found):
        count = len(one.scores)
        boxes[row, :count] = one.bboxes.numpy()
        scores[row, :count] = one.scores.numpy()
        labels[row, :count] = one.labels.numpy()
    return boxes, scores, labels
