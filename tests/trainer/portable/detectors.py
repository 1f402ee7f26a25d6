"""Thin detectors of every family, with weights at random, and what mmdet finds with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detnas.architecture import Family, parse
from detnas.exported.runtimes import RawDetections, RunFile
from detnas.records.settings import DetectorShape, DetectorVariant, HeadKind, Resolution
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.openmmlab import DetDataSample, TwoStageDetector
from detnas_trainer.portable import PortableWriter

SHAPE = DetectorShape(neck=16, fc=32, proposals=60, pad_divisor=16)
PAIRS = "[(8, 8)-(8, 8)], [(12, 12)], [(12, 16)], [(16, 16)]"
TRIPLES = "[(8, 8, 16)-(8, 8, 16)], [(8, 8, 24)], [(8, 8, 24)], [(16, 16, 32)]"
GROUPED = "[(8, 8, 16)-(8, 8, 16)], [(8, 8, 24)], [(16, 16, 24)], [(32, 32, 32)]"
DETECTORS = {
    "Basic": (parse(PAIRS, Family.BASIC, 8), SHAPE),
    "Bottleneck": (parse(TRIPLES, Family.BOTTLENECK, 8), SHAPE),
    "ResNeXt": (parse(GROUPED, Family.RESNEXT, 8, group_width=4), SHAPE),
    "MobileNetV2": (parse(PAIRS, Family.MOBILENET_V2, 8), SHAPE),
    "Cascade": (
        parse(TRIPLES, Family.BOTTLENECK, 8),
        SHAPE.model_copy(update={"head": HeadKind.CASCADE, "variant": DetectorVariant.TORCHVISION}),
    ),
    "deformable": (
        parse(GROUPED, Family.RESNEXT, 8, group_width=4).model_copy(update={"deformable": (3, 4)}),
        SHAPE,
    ),
}
CLASSES = 3
SIZES = ((80, 140), (70, 144))
"""Of the images in a batch of 80 × 144, whose levels have odd sides."""

LAST_LAYERS = ("rpn_cls", "rpn_reg", "fc_cls", "fc_reg")
"""Names of mmdet's layers whose outputs are the heads' raw outputs."""


class Case:
    """A detector that finds many boxes, and two images."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.architecture, self.shape = DETECTORS[name]
        draw = torch.manual_seed(3)  # the detector's own draws, too
        built = build_detector(self.architecture, self.shape, CLASSES)
        self.state = {key: _drawn(key, value, draw) for key, value in built.state_dict().items()}
        self.images = torch.randint(0, 256, (2, 3, 80, 144), dtype=torch.uint8, generator=draw)
        self.sizes = torch.tensor(SIZES, dtype=torch.float32)

    def detector(self) -> TwoStageDetector:
        return load_detector(self.architecture, self.shape, CLASSES, self.state).eval()

    def by_mmdet(self, detector: TwoStageDetector | None = None) -> list[Any]:
        """Boxes, scores and labels of each image, best first."""
        samples = []
        for number, size in enumerate(SIZES):
            sample = DetDataSample()
            sample.set_metainfo(
                {"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0), "img_id": number}
            )
            samples.append(sample)
        inputs = [
            image[:, :height, :width].flip(0)
            for image, (height, width) in zip(self.images, SIZES, strict=True)
        ]
        detector = detector or self.detector()
        with torch.inference_mode():
            found = detector.test_step({"inputs": inputs, "data_samples": samples})
        return [one.pred_instances for one in found]

    def raw_outputs(self) -> dict[str, list[Tensor]]:
        """What mmdet's last layers compute, by their names: of each level, of each box head."""
        detector = self.detector()
        with recorded(detector) as outputs:
            self.by_mmdet(detector)
        return outputs

    def run(self, file: RunFile) -> RawDetections:
        return file(self.images.numpy(), self.sizes.numpy())

    def writer(self, folder: Path) -> PortableWriter:
        scratch = folder / "scratch"
        scratch.mkdir(parents=True)
        inputs = [
            {"images": image[None].numpy(), "sizes": size[None].numpy()}
            for image, size in zip(self.images, self.sizes, strict=True)
        ]
        size = Resolution(width=64, height=48)  # smaller than what is traced
        return PortableWriter(self.detector, size, folder, scratch, lambda: inputs)


def _drawn(key: str, value: Tensor, draw: torch.Generator) -> Tensor:
    """Weights, biases and statistics of batch normalisation that are not what they begin with."""
    if not value.is_floating_point():
        return value
    if key.endswith("running_var"):
        return value * (0.7 + 0.6 * torch.rand(value.shape, generator=draw))
    return value + 0.05 * torch.randn(value.shape, generator=draw)


@contextmanager
def recorded(detector: TwoStageDetector) -> Iterator[dict[str, list[Tensor]]]:
    """Within the block, the outputs of the last layers are noted in the order of their calls."""
    outputs: dict[str, list[Tensor]] = {name: [] for name in LAST_LAYERS}
    hooks = [
        module.register_forward_hook(
            lambda _module, _inputs, output, name=name: outputs[name].append(output)
        )
        for path, module in detector.named_modules()
        if (name := path.rpartition(".")[2]) in LAST_LAYERS
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
