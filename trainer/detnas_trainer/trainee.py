"""A detector as the train loop uses it: it prepares batches and computes its losses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.ranks.batch import ImageSeeds, pad_alike

Losses = Mapping[str, Tensor | list[Tensor]]
"""Losses by name, as mmdet gives them; those with ``loss`` in their names are summed."""


@dataclass
class DetectorTrainee:
    """A detector that learns by mmdet's own losses."""

    module: TwoStageDetector

    def preprocess(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Normalise, pad and stack a batch on the detector's device."""
        data: dict[str, Any] = self.module.data_preprocessor(batch, True)
        pad_alike(data)
        return data

    def seed_images(self, seeds: Sequence[int]) -> None:
        """Let the draws for each image of the next batch be a function of its seed."""
        self._image_seeds.begin(seeds)

    @cached_property
    def _image_seeds(self) -> ImageSeeds:
        return ImageSeeds(self.module)

    def loss(self, iteration: int, inputs: Tensor, samples: list[Any]) -> Losses:
        """Losses of a preprocessed batch; they depend on the iteration through the draws only.

        Args:
            iteration: from 0.
            inputs: N × 3 × H × W, normalised.
            samples: annotations of each image.
        """
        del iteration
        return self.module.loss(inputs, samples)
