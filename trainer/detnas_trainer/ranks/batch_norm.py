"""Batch norms that normalise by the batch of all ranks."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from detnas_trainer.ranks.group import rank_count


def share_batch_norms(module: nn.Module) -> None:
    """Let the batch norms inside normalise by the batch of all ranks, in place.

    Parameters, buffers and their names stay what they are. On a GPU torch's own layer does it,
    which does not work on a CPU.
    """
    if rank_count() == 1:
        return
    if next(module.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return
    for part in module.modules():
        if type(part) is nn.BatchNorm2d:
            part.__class__ = RanksBatchNorm2d


class RanksBatchNorm2d(nn.BatchNorm2d):
    """A batch norm over the batch of all ranks, for gloo; each rank's share has the same size."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Normalise N × C × H × W."""
        if not self.training:
            return super().forward(input)
        output, mean, variance = _NormalizeByAll.apply(input, self.weight, self.bias, self.eps)
        if self.track_running_stats:
            self._update(mean, variance, input.numel() // input.shape[1] * rank_count())
        return output

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor, elements: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
        share = self.momentum
        if share is None:  # the mean over all batches
            assert self.num_batches_tracked is not None
            share = 1.0 / float(self.num_batches_tracked)
        unbiased = variance * (elements / max(elements - 1, 1))
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(unbiased, share)


class _NormalizeByAll(torch.autograd.Function):
    """Batch normalisation whose mean, variance and gradient are those of all ranks' elements."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        # Statistics have 32 bits, as torch's own.
        variance, mean = torch.var_mean(inputs.float(), (0, 2, 3), correction=0)
        own = torch.stack([mean, variance])
        of_all = [torch.empty_like(own) for _ in range(rank_count())]
        dist.all_gather(of_all, own)
        means, variances = torch.stack(of_all).unbind(1)
        mean = means.mean(0)
        variance = variances.mean(0) + means.var(0, correction=0)
        ctx.save_for_backward(inputs, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        output = functional.batch_norm(inputs, mean, variance, weight, bias, eps=eps)
        return output, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        inputs, weight, mean, variance = ctx.saved_tensors
        # As if mean and variance were constants; the sums that they need are by-products.
        constant, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, inputs, weight, mean, variance, mean, mean, False, ctx.eps, [True] * 3
        )
        sums = torch.stack([by_weight, by_bias])
        dist.all_reduce(sums)
        elements = inputs.numel() // inputs.shape[1] * rank_count()
        through_variance, through_mean = sums / elements
        scale = (variance + ctx.eps).rsqrt()
        slope = weight * scale * scale * through_variance
        offset = weight * scale * through_mean - slope * mean
        offset, slope = (_by_channel(values).to(constant.dtype) for values in (offset, slope))
        constant -= offset
        constant.addcmul_(inputs, slope, value=-1)
        return constant, by_weight, by_bias, None


def _by_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)
