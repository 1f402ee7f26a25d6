"""Extraction: a teacher's weights are the supernet's first blocks and first channels."""

from decimal import Decimal

import pytest
import torch

from detnas.architecture import Family
from detnas.errors import UserError
from detnas.teachers import SupernetShape, TeacherSpace
from detnas_trainer.supernet import extract, subnet_at


def _extract(supernet, teacher):
    return extract(supernet.detector.state_dict(), supernet.shape, supernet.space, teacher)


def _corner(whole, part):
    return whole[tuple(slice(size) for size in part.shape)]


def test_every_tensor_of_a_subnet_is_the_first_corner_of_the_supernets(supernet, mixed):
    whole = supernet.detector.state_dict()
    own = _extract(supernet, mixed)
    assert any(own[name].shape != whole[name].shape for name in own)
    for name, tensor in own.items():
        assert torch.equal(tensor, _corner(whole[name], tensor)), name


def test_the_box_head_keeps_all_cells_of_the_first_channels(supernet, mixed):
    name = "roi_head.bbox_head.shared_fcs.0.weight"
    whole = supernet.detector.state_dict()[name]
    neck = supernet.shape.neck_width(mixed)
    by_channel = whole.view(whole.size(0), -1, 7, 7)[:, :neck]
    assert torch.equal(_extract(supernet, mixed)[name], by_channel.flatten(1))


@pytest.mark.parametrize("draw", range(6))
def test_any_subnet_loads_strictly_into_its_own_detector(supernet, draw):
    teacher = subnet_at(0, draw, supernet.space)
    state = supernet.static(teacher).state_dict()
    assert state.keys() == _extract(supernet, teacher).keys()


def test_blocks_beyond_the_depth_are_left_out(supernet, mixed):
    names = _extract(supernet, mixed)
    assert not any("layer1.1." in name or "layer3.2." in name for name in names)
    assert any("layer3.1." in name for name in names)


def test_the_largest_subnet_is_the_supernet(supernet):
    whole = supernet.detector.state_dict()
    own = _extract(supernet, supernet.space.largest)
    assert own.keys() == whole.keys()
    assert all(torch.equal(own[name], whole[name]) for name in whole)


def test_extracted_weights_are_copies(supernet, mixed):
    before = {name: t.clone() for name, t in supernet.detector.state_dict().items()}
    for tensor in _extract(supernet, mixed).values():
        tensor.zero_()
    for tensor in _extract(supernet, supernet.space.largest).values():
        tensor.zero_()
    assert all(torch.equal(t, before[name]) for name, t in supernet.detector.state_dict().items())


def test_the_adaptor_stays_with_the_pool(supernet, mixed):
    state = {**supernet.detector.state_dict(), "adaptor.convolution.bias": torch.zeros(3)}
    own = extract(state, supernet.shape, supernet.space, mixed)
    assert not any(name.startswith("adaptor") for name in own)


def test_a_teacher_outside_the_space_is_refused_by_name(supernet, mixed):
    teacher = mixed.model_copy(update={"depths": (3, 2, 2, 1)})
    with pytest.raises(UserError, match=r"depths \[3, 2, 2, 1\].*not in the pool's space"):
        _extract(supernet, teacher)


def test_a_supernet_that_lacks_a_projection_is_refused():
    shape = SupernetShape(family=Family.BASIC, stem=8, inner=(8,) * 4, outputs=(8, 8, 8, 8), neck=8)
    space = TeacherSpace(widths=(Decimal("1.0"), Decimal("2.0")))
    with pytest.raises(UserError, match=r"stem and outputs of stage 1 both have 16 channels"):
        extract({}, shape, space, space.smallest)
    single = TeacherSpace(widths=(Decimal("2.0"),))
    assert extract({}, shape, single, single.largest) == {}
