"""Each loss equals a direct reading of its formula (paper, 3.2 and 3.3), written in numpy."""

import numpy as np
import pytest
import torch
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder

from detnas_trainer.distillation.losses import (
    bn_sparsity_loss,
    class_aware_localization_loss,
    classification_loss,
    converted_deltas,
    feature_loss,
    plain_localization_loss,
)

ROIS, CLASSES, CHANNELS, SIDE = 5, 3, 4, 7


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_feature_loss_averages_over_points_and_sums_over_channels(rng):
    student, teacher = rng.normal(size=(2, ROIS, CHANNELS, SIDE, SIDE))
    total = 0.0
    for roi in range(ROIS):
        for i in range(SIDE):
            for j in range(SIDE):
                for c in range(CHANNELS):
                    total += (student[roi, c, i, j] - teacher[roi, c, i, j]) ** 2
    expected = total / (ROIS * SIDE * SIDE)
    assert feature_loss(torch.tensor(student), torch.tensor(teacher)).item() == pytest.approx(
        expected, rel=1e-9
    )


def test_classification_loss_is_soft_cross_entropy(rng):
    student, teacher = rng.normal(size=(2, ROIS, CLASSES + 1))
    expected = -sum(
        (_softmax(teacher)[i] * np.log(_softmax(student)[i])).sum() for i in range(ROIS)
    )
    actual = classification_loss(torch.tensor(student), torch.tensor(teacher))
    assert actual.item() == pytest.approx(expected / ROIS, rel=1e-9)


def test_class_aware_localization_weighs_every_class_before_the_absolute_value(rng):
    student, teacher = rng.normal(size=(2, ROIS, 4 * CLASSES))
    logits = rng.normal(size=(ROIS, CLASSES + 1))
    probabilities = _softmax(logits)
    total = 0.0
    for roi in range(ROIS):
        for coordinate in range(4):
            total += abs(
                sum(
                    probabilities[roi, c]
                    * (teacher[roi, 4 * c + coordinate] - student[roi, 4 * c + coordinate])
                    for c in range(CLASSES)
                )
            )
    actual = class_aware_localization_loss(*map(torch.tensor, (student, teacher, logits)))
    assert actual.item() == pytest.approx(total / ROIS, rel=1e-9)


def test_plain_localization_compares_the_teachers_likeliest_foreground_class(rng):
    student, teacher = rng.normal(size=(2, ROIS, 4 * CLASSES))
    logits = rng.normal(size=(ROIS, CLASSES + 1))
    logits[:, -1] = 9.0
    total = 0.0
    for roi in range(ROIS):
        c = int(np.argmax(logits[roi, :-1]))
        total += np.abs(teacher[roi, 4 * c : 4 * c + 4] - student[roi, 4 * c : 4 * c + 4]).sum()
    actual = plain_localization_loss(*map(torch.tensor, (student, teacher, logits)))
    assert actual.item() == pytest.approx(total / ROIS, rel=1e-9)


def test_plain_localization_takes_class_agnostic_boxes_as_they_are(rng):
    student, teacher = rng.normal(size=(2, ROIS, 4))
    logits = rng.normal(size=(ROIS, CLASSES + 1))
    actual = plain_localization_loss(*map(torch.tensor, (student, teacher, logits)))
    assert actual.item() == pytest.approx(np.abs(teacher - student).sum() / ROIS, rel=1e-9)


def test_plain_localization_takes_a_class_agnostic_teachers_one_box(rng):
    student, teacher = rng.normal(size=(ROIS, 4 * CLASSES)), rng.normal(size=(ROIS, 4))
    logits = rng.normal(size=(ROIS, CLASSES + 1))
    total = 0.0
    for roi in range(ROIS):
        c = int(np.argmax(logits[roi, :-1]))
        total += np.abs(teacher[roi] - student[roi, 4 * c : 4 * c + 4]).sum()
    actual = plain_localization_loss(*map(torch.tensor, (student, teacher, logits)))
    assert actual.item() == pytest.approx(total / ROIS, rel=1e-9)


def test_sparsity_is_the_sum_of_absolute_weights(rng):
    gammas = [rng.normal(size=n) for n in (3, 8)]
    actual = bn_sparsity_loss(map(torch.tensor, gammas))
    assert actual.item() == pytest.approx(sum(np.abs(g).sum() for g in gammas), rel=1e-9)


def test_no_rois_give_zero_not_nan():
    features = torch.zeros(0, CHANNELS, SIDE, SIDE)
    logits = torch.zeros(0, CLASSES + 1)
    deltas = torch.zeros(0, 4 * CLASSES)
    assert feature_loss(features, features) == 0
    assert classification_loss(logits, logits) == 0
    assert class_aware_localization_loss(deltas, deltas, logits) == 0


def test_converted_deltas_are_the_same_boxes_in_other_units(rng):
    theirs = DeltaXYWHBBoxCoder(target_means=(0.1, 0, 0, 0), target_stds=(0.05, 0.05, 0.1, 0.1))
    ours = DeltaXYWHBBoxCoder(target_stds=(0.1, 0.1, 0.2, 0.2))
    rois = torch.tensor([[4.0, 4.0, 30.0, 34.0], [30.0, 20.0, 60.0, 60.0]])
    deltas = torch.from_numpy(rng.normal(size=(2, 12))).float()
    converted = converted_deltas(deltas, theirs, ours)
    assert not torch.allclose(converted, deltas)
    expected, found = theirs.decode(rois, deltas), ours.decode(rois, converted)
    assert torch.allclose(found, expected, atol=1e-4)
    assert converted_deltas(deltas, ours, ours) is deltas
