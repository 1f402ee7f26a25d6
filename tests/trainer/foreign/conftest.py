"""A checkpoint as mmengine's own Runner writes it, of a model with a detector's parts."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset

CLASSES = ("disc", "square")
PARTS = {
    "backbone.weight": torch.zeros(1),
    "neck.weight": torch.zeros(1),
    "rpn_head.weight": torch.zeros(1),
    "roi_head.weight": torch.zeros(1),
}
"""The least that passes for a detector's state dict."""


class _Model(BaseModel):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.neck = nn.Linear(2, 4), nn.BatchNorm1d(4)
        self.rpn_head, self.roi_head = nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x: Tensor, mode: str = "tensor") -> Any:
        y = self.roi_head(self.rpn_head(self.neck(self.backbone(x))))
        return {"loss": (y - 1).square().mean()} if mode == "loss" else [y]


class _Data(Dataset):
    metainfo = {"classes": CLASSES, "palette": [(220, 20, 60), (119, 11, 32)]}

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": torch.full((2,), float(index))}


class _Metric(BaseMetric):  # type: ignore[misc]
    default_prefix = "coco"

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(1)

    def compute_metrics(self, results: list) -> dict[str, Any]:
        return {"bbox_mAP": torch.tensor(0.5).numpy()[()]}  # a scalar of numpy, as COCO's


def _loader(shuffle: bool) -> dict[str, Any]:
    return {
        "dataset": _Data(),
        "batch_size": 2,
        "sampler": {"type": "DefaultSampler", "shuffle": shuffle},
        "collate_fn": {"type": "default_collate"},
    }


def train_with_mmengine(folder: Path, *hooks: dict[str, Any]) -> dict[str, Tensor]:
    """Train for two epochs, saving each and the best; return the trained model's state."""
    model = _Model()
    Runner(
        model=model,
        work_dir=str(folder),
        train_dataloader=_loader(shuffle=True),
        val_dataloader=_loader(shuffle=False),
        val_evaluator=Evaluator(_Metric()),
        val_cfg={},
        train_cfg={"by_epoch": True, "max_epochs": 2, "val_interval": 1},
        optim_wrapper={"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 0.01}},
        param_scheduler=[
            {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 2},
            {"type": "MultiStepLR", "milestones": [1, 2]},
            {"type": "OneCycleLR", "eta_max": 0.1, "total_steps": 4, "by_epoch": False},
        ],
        custom_hooks=list(hooks),
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": 1},
            "checkpoint": {"type": "CheckpointHook", "interval": 1, "save_best": "coco/bbox_mAP"},
        },
        experiment_name=folder.name,
        log_level="ERROR",
    ).train()
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """Folder of a training by mmengine, and what it trained."""
    folder = tmp_path_factory.mktemp("plain")
    return folder, train_with_mmengine(folder)


@pytest.fixture(scope="session")
def averaged_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """The same with averaged weights."""
    folder = tmp_path_factory.mktemp("averaged")
    return folder, train_with_mmengine(folder, {"type": "EMAHook", "momentum": 0.5})
