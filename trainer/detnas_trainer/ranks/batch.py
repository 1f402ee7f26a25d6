"""A rank's share of a batch, trained on as in the entire batch.

Losses and their gradients are means over the ranks. So that these equal one process's:

- all images are padded to the same size, which also makes the ranks' shares of a batch norm equal;
- mmdet averages losses over its sampled anchors and RoIs, whose numbers may differ between ranks;
- mmdet draws those samples from torch's global generator: an image's draws must not depend on
  which images come before it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional

from detnas_trainer.ranks.batch_norm import share_batch_norms
from detnas_trainer.ranks.group import (
    copy_from_first,
    largest_of_ranks,
    mean_of_ranks,
    rank_count,
    share_of_mean,
)
from detnas_trainer.roi_head import box_heads, box_samplers


def share_training(detector: Any) -> None:
    """Let a two-stage detector of mmdet train on shares of batches, in place.

    It begins with rank 0's weights.
    """
    if rank_count() == 1:
        return
    copy_from_first(detector.state_dict().values())
    share_batch_norms(detector)
    _average_anchors(detector.rpn_head)
    for head in box_heads(detector.roi_head):
        _average_rois(head)


def _average_anchors(rpn_head: Any) -> None:
    plain_targets: Callable[..., Any] = rpn_head.get_targets

    def get_targets(*arguments: Any, **options: Any) -> Any:
        *targets, anchors = plain_targets(*arguments, **options)
        return (*targets, max(mean_of_ranks(float(anchors)), 1.0))

    rpn_head.get_targets = get_targets


def _average_rois(bbox_head: Any) -> None:
    plain_loss: Callable[..., dict[str, Any]] = bbox_head.loss

    def loss(
        cls_score: Any, bbox_pred: Any, rois: Any, labels: Any, *others: Any, **options: Any
    ) -> dict[str, Any]:
        losses = plain_loss(cls_score, bbox_pred, rois, labels, *others, **options)
        part = share_of_mean(len(labels))
        return {name: value * part for name, value in losses.items()}

    bbox_head.loss = loss


def pad_alike(data: dict[str, Any]) -> None:
    """Pad a preprocessed batch, in place, to the largest size of any rank."""
    inputs = data["inputs"]
    own = inputs.shape[-2:]
    height, width = largest_of_ranks(own)
    if (height, width) == tuple(own):
        return
    data["inputs"] = functional.pad(inputs, (0, width - own[1], 0, height - own[0]))
    for sample in data["data_samples"]:
        sample.set_metainfo({"batch_input_shape": (height, width)})


class ImageSeeds:
    """Makes a detector's draws of anchors and RoIs a function of each image's own seed."""

    def __init__(self, detector: Any) -> None:
        rpn_head, roi_head = detector.rpn_head, detector.roi_head
        rpn_head.sampler, *stages = self._samplers = [
            _SeededSampler(plain) for plain in (rpn_head.sampler, *box_samplers(roi_head))
        ]
        # A cascade has a sampler for each of its stages.
        is_cascade = isinstance(roi_head.bbox_sampler, list)
        roi_head.bbox_sampler = stages if is_cascade else stages[0]

    def begin(self, seeds: Sequence[int]) -> None:
        """Begin a step: the seeds of its images, in their order."""
        for number, sampler in enumerate(self._samplers):
            sampler.seeds = iter([seed + number for seed in seeds])


class _SeededSampler:
    """One of mmdet's samplers, which samples an image after the other."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain
        self.seeds: Iterator[int] = iter(())

    def sample(self, *arguments: Any, **options: Any) -> Any:
        # That of the CPU, which mmdet draws from: to seed all devices takes milliseconds.
        torch.default_generator.manual_seed(next(self.seeds))
        return self._plain.sample(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)
