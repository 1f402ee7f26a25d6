"""A teacher from the pool: frozen, of its own statistics, of no influence on anything else."""

import pytest
import torch

from detnas.errors import UserError
from detnas.records.requests import PoolLayout
from detnas_trainer.supernet import extract_teacher
from detnas_trainer.supernet.teacher import reset_statistics


@pytest.fixture
def pool(supernet):
    return {name: tensor.clone() for name, tensor in supernet.detector.state_dict().items()}


@pytest.fixture
def extract(supernet, pool):
    """Take a teacher out of the pool, or of another state of it."""

    def take(teacher, batches, state=pool):
        layout = PoolLayout(supernet=supernet.shape, space=supernet.space)
        return extract_teacher(
            state, layout, teacher, supernet.detector_shape, supernet.classes, batches
        )

    return take


def _equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def test_teacher_is_the_extracted_detector_with_reset_statistics(
    supernet, pool, extract, mixed, batches
):
    teacher = extract(mixed, batches(0))
    own = supernet.static(mixed)
    inputs = [own.data_preprocessor(batch)["inputs"] for batch in batches(0)]
    reset_statistics(own, inputs, own.backbone)
    assert _equal(teacher.state_dict(), own.state_dict())
    assert not torch.equal(teacher.backbone.bn1.running_mean, pool["backbone.bn1.running_mean"][:6])


def test_teacher_is_frozen_and_in_evaluation_mode(pool, extract, mixed, batches):
    teacher = extract(mixed, batches(0))
    assert not any(part.training for part in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())


def test_teacher_depends_on_pool_teacher_and_images_only(pool, extract, mixed, batches):
    torch.manual_seed(1)
    first = extract(mixed, batches(0))
    torch.manual_seed(2)
    # The pool's own running statistics, those of its largest network, have no say.
    stale = {n: t * 3 if "running" in n else t for n, t in pool.items()}
    second = extract(mixed, batches(0), stale)
    assert _equal(first.state_dict(), second.state_dict())
    other = extract(mixed, batches(1))
    assert not _equal(first.state_dict(), other.state_dict())


def test_statistics_never_leak_between_teachers_or_into_the_pool(
    supernet, pool, extract, mixed, batches
):
    before = {name: tensor.clone() for name, tensor in pool.items()}
    alone = extract(mixed, batches(0)).state_dict()
    for other in (supernet.space.largest, supernet.space.smallest):
        extract(other, batches(1))
    after = extract(mixed, batches(0)).state_dict()
    assert _equal(alone, after)
    assert _equal(pool, before)


def test_other_teachers_have_other_statistics(supernet, pool, extract, mixed, batches):
    shallower = mixed.model_copy(update={"depths": (1, 1, 2, 1)})
    first, second = (extract(teacher, batches(0)).state_dict() for teacher in (mixed, shallower))
    name = "backbone.layer4.0.bn1.running_mean"
    assert not torch.equal(first[name], second[name])


def test_teacher_outside_the_space_is_refused(pool, extract, mixed, batches):
    teacher = mixed.model_copy(update={"depths": (1, 2, 9, 1)})
    with pytest.raises(UserError, match="not in the pool's space"):
        extract(teacher, batches(0))


def test_no_images_are_refused(pool, extract, mixed):
    with pytest.raises(UserError, match="0 batches"):
        extract(mixed, [])
