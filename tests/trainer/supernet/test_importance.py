"""Sorting channels: the supernet's function stays, and the first channels are the best ones."""

import pytest
import torch

from detnas_trainer.supernet.importance import channel_groups, sort_channels


def _sorted(supernet):
    state = supernet.detector.state_dict()
    return sort_channels(state, supernet.shape.architecture(supernet.space.largest))


def _outputs(detector, inputs):
    detector.eval()
    with torch.no_grad():
        levels = detector.extract_feat(inputs)
        scores, boxes = detector.rpn_head(levels)
        rois = torch.tensor([[0.0, 4, 4, 40, 50], [1.0, 0, 8, 60, 60], [1.0, 20, 20, 30, 36]])
        head = detector.roi_head._bbox_forward(levels[:4], rois)
    return [*scores, *boxes, head["cls_score"], head["bbox_pred"]]


def test_detector_computes_the_same(supernet, batch):
    inputs, _ = batch
    state = {name: tensor.clone() for name, tensor in supernet.detector.state_dict().items()}
    before = _outputs(supernet.detector, inputs)
    result = _sorted(supernet)
    assert any(not torch.equal(result[name], tensor) for name, tensor in state.items())
    supernet.detector.load_state_dict(result)
    for ours, expected in zip(_outputs(supernet.detector, inputs), before, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_importance_falls_from_the_first_channel_on(supernet):
    state = _sorted(supernet)
    stem = sum(
        state[f"backbone.layer1.0.{reader}.weight"].abs().sum(dim=(0, 2, 3))
        for reader in ("conv1", "downsample.0")
    )
    inner = state["backbone.layer2.0.conv2.weight"].abs().sum(dim=(0, 2, 3))
    laterals = sum(state[f"neck.fpn_convs.{i}.conv.weight"].abs().sum((0, 2, 3)) for i in range(4))
    neck = state["rpn_head.rpn_conv.weight"].abs().sum((0, 2, 3)) + state[
        "roi_head.bbox_head.shared_fcs.0.weight"
    ].abs().view(12, 12, 49).sum((0, 2))
    for importance in (stem, inner, laterals, neck):
        assert (importance.diff() <= 1e-4).all()


def test_every_channel_belongs_to_one_group(supernet):
    groups = channel_groups(supernet.shape.architecture(supernet.space.largest))
    producers = [layer for group in groups for layer in group.producers]
    consumers = [layer for group in groups for layer in group.consumers]
    assert len(set(producers)) == len(producers)
    assert len(set(consumers)) == len(consumers)
    layers = {
        name.rpartition(".")[0]
        for name, _ in supernet.detector.named_parameters()
        if name.endswith("weight")
    }
    heads = {
        f"roi_head.bbox_head.{n}" for n in ("shared_fcs.0", "shared_fcs.1", "fc_cls", "fc_reg")
    }
    assert set(producers) == layers - heads - {"rpn_head.rpn_cls", "rpn_head.rpn_reg"}


def test_sorting_twice_is_sorting_once(supernet):
    once = _sorted(supernet)
    twice = sort_channels(once, supernet.shape.architecture(supernet.space.largest))
    assert all(torch.equal(once[name], twice[name]) for name in once)


def test_given_state_is_left_alone(supernet):
    before = {name: tensor.clone() for name, tensor in supernet.detector.state_dict().items()}
    _sorted(supernet)
    for name, tensor in supernet.detector.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_unequal_streams_are_kept_apart_by_projections(supernet):
    groups = channel_groups(supernet.shape.architecture(supernet.space.largest))
    heads = [group.producers[0] for group in groups if "downsample" in group.producers[0]]
    assert heads == [f"backbone.layer{stage}.0.downsample.0" for stage in range(1, 5)]


@pytest.mark.parametrize("name", ["backbone.conv1.weight", "rpn_head.rpn_conv.weight"])
def test_missing_tensor_is_an_error(supernet, name):
    state = dict(supernet.detector.state_dict())
    del state[name]
    with pytest.raises(KeyError, match=name):
        sort_channels(state, supernet.shape.architecture(supernet.space.largest))
