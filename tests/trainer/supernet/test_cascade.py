"""A supernet with a cascade: each stage's box head is sliced and sorted as a standard head's is."""

import pytest
import torch

from detnas.architecture import Family
from detnas.records.settings import HeadKind
from detnas_trainer.supernet.importance import sort_channels
from detnas_trainer.supernet.slicing import extract
from tests.trainer.supernet.conftest import Supernet, make_supernet


@pytest.fixture
def cascade() -> Supernet:
    return make_supernet(Family.BASIC, HeadKind.CASCADE)


def test_subnets_losses_are_its_static_detectors(cascade, batch, mixed):
    static = cascade.static(mixed).train()
    cascade.detector.train()
    torch.manual_seed(3)
    found = cascade.elastic.loss(mixed, *batch)
    torch.manual_seed(3)
    expected = static.loss(*batch)
    assert found.keys() == expected.keys()
    for name in (name for name in found if name.startswith("s2.")):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5, msg=name)


def test_every_stages_head_reads_the_first_channels_of_the_neck(cascade, mixed):
    whole = cascade.detector.state_dict()
    own = extract(whole, cascade.shape, cascade.space, mixed)
    neck = cascade.shape.neck_width(mixed)
    for stage in range(3):
        name = f"roi_head.bbox_head.{stage}.shared_fcs.0.weight"
        assert torch.equal(own[name], whole[name][:, : neck * 49])
    with cascade.elastic.subnet(mixed) as subnet:
        assert [e.out_channels for e in subnet.roi_head.bbox_roi_extractor] == [neck] * 3
    assert [e.out_channels for e in cascade.detector.roi_head.bbox_roi_extractor] == [12] * 3


def test_sorting_channels_keeps_what_every_stage_computes(cascade, batch):
    def outputs():
        with torch.no_grad():
            levels = detector.extract_feat(batch[0])[:4]
            rois = torch.tensor([[0.0, 4, 4, 40, 50], [1.0, 0, 8, 60, 60]])
            return [detector.roi_head._bbox_forward(s, levels, rois)["cls_score"] for s in range(3)]

    detector = cascade.detector.eval()
    before = outputs()
    sorted_ = sort_channels(
        detector.state_dict(), cascade.shape.architecture(cascade.space.largest)
    )
    first = "roi_head.bbox_head.2.shared_fcs.0.weight"
    assert not torch.equal(sorted_[first], detector.state_dict()[first])
    detector.load_state_dict(sorted_)
    for found, expected in zip(outputs(), before, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
