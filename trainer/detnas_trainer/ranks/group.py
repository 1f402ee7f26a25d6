"""Who this rank is, how the ranks of a job share out work, and what they exchange.

Ranks, their number and their addresses are torchrun's (`RANK`, `WORLD_SIZE`, `LOCAL_RANK`,
`MASTER_ADDR`, `MASTER_PORT`). Tensors of a GPU are exchanged by NCCL, all others by gloo.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import zip_longest
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")

_PEER_SECONDS = 600.0
"""How long one rank may keep the others waiting within a step; then they take it for lost."""

_LONG_WAIT = timedelta(hours=2)
"""The same for what one rank does alone: fetching data, storing weights."""

_ABSENT: Any = object()
_long_group: Any = None


def join() -> None:
    """Become the rank that torchrun's environment names, for the rest of the process.

    ``DETNAS_PEER_SECONDS`` is how long a step may wait for the other ranks.

    Raises:
        RuntimeError: the ranks did not meet.
    """
    global _long_group  # noqa: PLW0603 - as torch's own group is
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
        backend = "cpu:gloo,cuda:nccl"
    seconds = float(os.environ.get("DETNAS_PEER_SECONDS") or _PEER_SECONDS)
    dist.init_process_group(backend, timeout=timedelta(seconds=seconds))
    _long_group = dist.new_group(backend="gloo", timeout=_LONG_WAIT)


def rank() -> int:
    """Return this process's rank; 0 if it works alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def rank_count() -> int:
    """Return the number of ranks; 1 if this process works alone."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """Return the rank among those of this machine: the index of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_first() -> bool:
    """Whether this is rank 0, the only one that writes."""
    return rank() == 0


def own_share(items: Sequence[T]) -> Sequence[T]:
    """Return this rank's part of the work: every n-th item, beginning with its own number."""
    return items[rank() :: rank_count()]


def from_first(make: Callable[[], T]) -> T:
    """Return what rank 0 makes, on every rank; the others wait for it."""
    if rank_count() == 1:
        return make()
    box = [make() if is_first() else None]
    dist.broadcast_object_list(box, src=0, group=_long_group)
    made: T = box[0]  # type: ignore[assignment]
    return made


def gathered_shares(share: Sequence[T]) -> list[T]:
    """Return the results of all shares in the order of the items; every rank gets them."""
    if rank_count() == 1:
        return list(share)
    shares: list[Any] = [None] * rank_count()
    dist.all_gather_object(shares, list(share), group=_long_group)
    turns = zip_longest(*shares, fillvalue=_ABSENT)
    return [item for turn in turns for item in turn if item is not _ABSENT]


def wait_for_all() -> None:
    """Wait until every rank has come here."""
    if rank_count() > 1:
        dist.barrier(group=_long_group)


@contextmanager
def first_of_machine() -> Iterator[None]:
    """Let one rank of each machine do the block first; the others find what it has done."""
    if local_rank():
        wait_for_all()
    yield
    if not local_rank():
        wait_for_all()


def any_rank(condition: bool) -> bool:
    """Whether a condition holds on any rank; all ranks get the same answer."""
    return _reduced(float(condition), dist.ReduceOp.MAX) > 0


def all_ranks(condition: bool) -> bool:
    """Whether a condition holds on every rank; all ranks get the same answer."""
    return not any_rank(not condition)


def mean_of_ranks(number: float) -> float:
    """Return the mean of the ranks' numbers."""
    return _reduced(number, dist.ReduceOp.SUM) / rank_count()


def share_of_mean(number: float) -> float:
    """Return this rank's number over the mean of all; 1 if that is 0.

    A mean over n elements of this rank, multiplied by this of n, is this rank's part of the mean
    over the elements of all ranks: the parts' own mean is the entire mean.
    """
    mean = mean_of_ranks(number)
    return number / mean if mean else 1.0


def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by the ranks' mean; all are exchanged at once."""
    tensors = list(tensors)
    if rank_count() == 1 or not tensors:
        return
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= rank_count()
    torch._foreach_copy_(
        [tensor.detach() for tensor in tensors],
        [
            part.view_as(tensor)
            for part, tensor in zip(
                flat.split([tensor.numel() for tensor in tensors]), tensors, strict=True
            )
        ],
    )


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by rank 0's."""
    if rank_count() > 1:
        for tensor in tensors:
            dist.broadcast(tensor.detach(), src=0)


def largest_of_ranks(numbers: Sequence[int]) -> tuple[int, ...]:
    """Return the largest of the ranks' numbers at each position."""
    if rank_count() == 1:
        return tuple(numbers)
    values = torch.tensor(numbers, device="cpu")
    dist.all_reduce(values, dist.ReduceOp.MAX)
    return tuple(values.tolist())


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error says that another rank is gone: this one has nothing to report."""
    if rank_count() == 1:
        return False
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )


def _reduced(number: float, operation: Any) -> float:
    if rank_count() == 1:
        return number
    value = torch.tensor(number, dtype=torch.float64, device="cpu")
    dist.all_reduce(value, operation)
    return float(value)
