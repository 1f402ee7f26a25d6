"""Extraction: a teacher's weights are the supernet's first blocks and channels; its draws."""

import inspect
import subprocess
import sys
from collections import Counter
from decimal import Decimal

import pytest
import torch

from detnas.architecture import Family
from detnas.errors import UserError
from detnas.teachers import SupernetShape, Teacher, TeacherSpace
from detnas_trainer.supernet.sampling import subnet_at
from detnas_trainer.supernet.slicing import extract


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


def test_box_head_keeps_all_cells_of_the_first_channels(supernet, mixed):
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


def test_largest_subnet_is_the_supernet(supernet):
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


def test_adaptor_stays_with_the_pool(supernet, mixed):
    state = {**supernet.detector.state_dict(), "adaptor.convolution.bias": torch.zeros(3)}
    own = extract(state, supernet.shape, supernet.space, mixed)
    assert not any(name.startswith("adaptor") for name in own)


def test_teacher_outside_the_space_is_refused_by_name(supernet, mixed):
    teacher = mixed.model_copy(update={"depths": (3, 2, 2, 1)})
    with pytest.raises(UserError, match=r"depths \[3, 2, 2, 1\].*not in the pool's space"):
        _extract(supernet, teacher)


def test_supernet_that_lacks_a_projection_is_refused():
    shape = SupernetShape(family=Family.BASIC, stem=8, inner=(8,) * 4, outputs=(8, 8, 8, 8), neck=8)
    space = TeacherSpace(widths=(Decimal("1.0"), Decimal("2.0")))
    with pytest.raises(UserError, match=r"stem and outputs of stage 1 both have 16 channels"):
        extract({}, shape, space, space.smallest)
    single = TeacherSpace(widths=(Decimal("2.0"),))
    assert extract({}, shape, single, single.largest) == {}


SPACE = TeacherSpace(min_depths=(1, 1, 2, 1), max_depths=(1, 2, 3, 1))


def test_same_draw_in_another_process():
    code = (
        "import runpy, sys;"
        "from detnas.teachers import TeacherSpace;"
        "draw = runpy.run_path(sys.argv[1])['subnet_at'];"
        "space = TeacherSpace.model_validate_json(sys.argv[2]);"
        "print(*(draw(5, number, space).model_dump_json() for number in range(10)), sep='\\n')"
    )
    arguments = [str(inspect.getsourcefile(subnet_at)), SPACE.model_dump_json()]
    printed = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    ).stdout
    drawn = [Teacher.model_validate_json(line) for line in printed.splitlines()]
    assert drawn == [subnet_at(5, iteration, SPACE) for iteration in range(10)]


def test_draws_lie_in_the_space_and_each_slot_takes_all_its_values_evenly():
    draws = [subnet_at(0, iteration, SPACE) for iteration in range(1200)]
    assert all(SPACE.contains(teacher) for teacher in draws)
    for slot in range(6):
        counts = Counter(teacher.widths[slot] for teacher in draws)
        assert set(counts) == set(SPACE.widths)
        assert min(counts.values()) > 300
    for stage in (1, 2):
        depths = Counter(teacher.depths[stage] for teacher in draws)
        assert len(depths) == 2
        assert min(depths.values()) > 500


def test_iterations_and_seeds_draw_apart():
    first = [subnet_at(0, iteration, SPACE) for iteration in range(20)]
    assert first != [subnet_at(1, iteration, SPACE) for iteration in range(20)]
    assert len(set(first)) > 10
