"""Batch norm statistics after a reset are those computed by hand, and nothing else changes."""

import pytest
import torch
from torch import nn

from detnas.errors import UserError
from detnas_trainer.supernet.teacher import reset_statistics


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    norms = nn.BatchNorm2d(4), nn.BatchNorm2d(5, momentum=0.3)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        norms[0],
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(4, 5, 3, stride=2),
        norms[1],
    )
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(1, 2)
        norm.num_batches_tracked.fill_(17)
    return net


@pytest.fixture
def images() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(2, 3, side, side, generator=generator) * side for side in (8, 10, 13)]


def _by_hand(net, images):
    """Per batch: mean and unbiased variance per channel in double precision; then their means."""

    def normalised(norm, x):
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        shape = (1, -1, 1, 1)
        x = (x - mean.view(shape)) / (variance.view(shape) + norm.eps).sqrt()
        return x * norm.weight.view(shape) + norm.bias.view(shape)

    def statistics(inputs):
        means = torch.stack([x.mean((0, 2, 3)) for x in inputs]).mean(0)
        count = [x.numel() / x.size(1) for x in inputs]
        squares = [
            (x - x.mean((0, 2, 3), keepdim=True)).square().sum((0, 2, 3)) / (n - 1)
            for x, n in zip(inputs, count, strict=True)
        ]
        return means, torch.stack(squares).mean(0)

    net = net.double()
    first = [net[0](image.double()) for image in images]
    second = [net[4](normalised(net[1], x).relu()) for x in first]
    return statistics(first), statistics(second)


@torch.no_grad()
def test_statistics_equal_those_computed_by_hand(net, images):
    reset_statistics(net, images)
    actual = [(n.running_mean.clone(), n.running_var.clone()) for n in (net[1], net[5])]
    for ours, expected in zip(actual, _by_hand(net, images), strict=True):
        for mine, theirs in zip(ours, expected, strict=True):
            torch.testing.assert_close(mine.double(), theirs, rtol=1e-5, atol=1e-5)


def test_earlier_statistics_do_not_matter(net, images):
    reset_statistics(net, images)
    first = net[5].running_var.clone()
    net[1].running_mean.fill_(1e3)
    net[5].running_var.fill_(1e3)
    reset_statistics(net, images)
    assert torch.equal(net[5].running_var, first)


def test_only_statistics_change(net, images):
    net.train()
    net[4].eval()
    modes = [part.training for part in net.modules()]
    weights = [p.clone() for p in net.parameters()]
    reset_statistics(net, images)
    assert [part.training for part in net.modules()] == modes
    assert (net[1].momentum, net[5].momentum) == (0.1, 0.3)
    assert all(torch.equal(p, w) for p, w in zip(net.parameters(), weights, strict=True))
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_no_graph_is_recorded(net, images):
    outputs = []
    reset_statistics(net, images, lambda batch: outputs.append(net(batch)))
    assert len(outputs) == 3
    assert not any(output.requires_grad for output in outputs)


def test_flags_come_back_after_an_error(net):
    net.eval()
    with pytest.raises(RuntimeError):
        reset_statistics(net, [torch.zeros(1, 7, 8, 8)])
    assert not any(part.training for part in net.modules())
    assert net[1].momentum == 0.1


def test_no_batches_are_refused(net):
    before = net[1].running_mean.clone()
    with pytest.raises(UserError, match="0 batches"):
        reset_statistics(net, [])
    assert torch.equal(net[1].running_mean, before)
