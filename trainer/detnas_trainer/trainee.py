"""A detector as the train loop uses it: it prepares batches and computes its losses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from detnas_trainer.openmmlab import TwoStageDetector

Losses = Mapping[str, Tensor | list[Tensor]]
"""Losses by name, as mmdet gives them; those with ``loss`` in their names are summed."""


@dataclass
class DetectorTrainee:
    """A detector that learns by mmdet's own losses."""

    module: TwoStageDetector

    def preprocess(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Normalise, pad and stack a batch on the detector's device."""
        return self.module.data_preprocessor(batch, True)

    def loss(self, iteration: int, inputs: Tensor, samples: list[Any]) -> Losses:
        """Losses of a preprocessed batch; they depend on the iteration through the draws only.

        Args:
            iteration: from 0.
            inputs: N × 3 × H × W, normalised.
            samples: annotations of each image.
        """
        del iteration
        return self.module.loss(inputs, samples)
