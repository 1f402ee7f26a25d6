"""A teacher taken out of the pool: its own detector, with its own batch norm statistics.

Its slices of the supernet's running statistics are not its own (paper, A.1.3): its batches have
other means and variances. They are recomputed over a few training batches.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from detnas.errors import UserError
from detnas.records.requests import PoolLayout
from detnas.records.settings import DetectorShape
from detnas.teachers import Teacher
from detnas_trainer.data.detection_data import Batch
from detnas_trainer.detector import load_detector
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.ranks.group import all_ranks, gathered_shares
from detnas_trainer.supernet.slicing import extract


def reset_statistics(
    module: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object] | None = None
) -> None:
    """Replace the running statistics of every batch norm by those of the given batches.

    Each mean and variance becomes the mean, over the batches, of the batch's mean and of its
    unbiased variance: every batch weighs the same. Layers are normalised with batch statistics
    meanwhile, as in training. Nothing but the statistics changes; no gradient is recorded.

    With several ranks each is given its share of the batches; the statistics are those of all, in
    the batches' order.

    Args:
        module: holds the batch norms.
        batches: one N × 3 × H × W tensor each.
        forward: runs the batch norms on one batch; by default the module itself.

    Raises:
        UserError: there is no batch.
    """
    remaining = iter(batches)
    first = list(islice(remaining, 1))
    if all_ranks(not first):
        raise UserError("0 batches for the batch norms' statistics", "give at least one image")
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    buffers = [b for n in norms for b in (n.running_mean, n.running_var) if b is not None]
    found = []
    with _collecting(module, norms), torch.no_grad():
        for batch in chain(first, remaining):
            (forward or module)(batch)
            found.append(torch.cat([buffer.cpu() for buffer in buffers]))
    found = gathered_shares(found)
    means = torch.stack(found).double().mean(0).split([len(buffer) for buffer in buffers])
    for buffer, mean in zip(buffers, means, strict=True):
        buffer.copy_(mean)
    for norm in norms:
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.fill_(len(found))


@contextmanager
def _collecting(module: nn.Module, norms: list[_BatchNorm]) -> Iterator[None]:
    """Batch norms whose statistics are the last batch's; modes and momentums are restored."""
    modes = [(part, part.training) for part in module.modules()]
    momentums = [norm.momentum for norm in norms]
    module.eval()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = 1.0
            norm.train()
        yield
    finally:
        for norm, momentum in zip(norms, momentums, strict=True):
            norm.momentum = momentum
        for part, training in modes:
            part.training = training


def extract_teacher(
    state: Mapping[str, Tensor],
    pool: PoolLayout,
    teacher: Teacher,
    detector: DetectorShape,
    classes: int,
    batches: Iterable[Batch],
) -> TwoStageDetector:
    """A frozen detector in evaluation mode that depends on the pool, the teacher and the batches.

    Its weights are copies: nothing of it reaches the pool's tensors or another teacher.

    Args:
        state: the pool's weights; the teacher ends up on the same device.
        pool: how they are laid out.
        teacher: the subnet to take.
        detector: shape of everything around the backbone; the neck is the teacher's own.
        classes: number of classes, background not counted.
        batches: training images for the batch norms, the same for every use of the pool.

    Raises:
        UserError: the teacher is not in the pool's space, or there are no batches.
        WeightsMismatchError: the weights are not of that layout.
    """
    own = extract(state, pool.supernet, pool.space, teacher)
    model = load_detector(
        pool.supernet.architecture(teacher),
        detector,
        classes,
        own,
        pool.supernet.neck_width(teacher),
    )
    model.to(state["backbone.conv1.weight"].device).eval().requires_grad_(requires_grad=False)
    inputs = (model.data_preprocessor(batch, False)["inputs"] for batch in batches)
    reset_statistics(model, inputs, model.extract_feat)
    return model
