"""Which measure of layer pruning finds the block that the detector needs least.

    python examples/digits/make_data.py examples/digits/data
    python -m bench.training.layer_measures DATA [--epochs 16] [--learning-rate 0.02]
    python -m bench.training.layer_measures --untrained

A thin detector with the depths of R50 is trained on the digits, its branches' last batch norms at 1
from the start, as those of ImageNet backbones: from zero, so short a training leaves every branch
without effect. Then each block whose shortcut is the identity is removed by itself, and the rest is
scored without training. Printed are the mAP that remains, each measure's rank of the block, and
what the first choices of each measure leave. `--untrained` prints how a new R101's ranks depend on
the stage alone.
"""

import argparse
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from statistics import fmean
from typing import get_args

import torch
from torch import Tensor

from detnas.actions import LayerNorm, prune_layer
from detnas.architecture import Architecture, Block, Family, Place
from detnas.records.settings import DataLocation, DetectorShape, Resolution, Schedule, Training
from detnas.spec.base import Model, model_architecture
from detnas_trainer.data.detection_data import DetectionData, batches
from detnas_trainer.data.draws import BatchDraws
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.evaluation import evaluate
from detnas_trainer.evolve.inheritance import inherit
from detnas_trainer.evolve.layer_pruning import layer_ranks
from detnas_trainer.training.gradients import seed_everything
from detnas_trainer.training.schedule import learning_rate

State = dict[str, Tensor]
NORMS: tuple[LayerNorm, ...] = get_args(LayerNorm)
BATCH = 8
FIRST = 3
CLASSES = tuple("0123456789")
SIZE = Resolution(width=64, height=64)
SHAPE = DetectorShape(
    neck=32, fc=128, proposals=100, roi_samples=64, anchor_scale=3, pad_divisor=16
)
THIN_R50 = Architecture(
    family=Family.BOTTLENECK,
    stem=16,
    stages=tuple(
        (Block(widths=(8 << stage, 8 << stage, 32 << stage)),) * depth
        for stage, depth in enumerate((3, 4, 6, 3))
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="the example's data set")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--learning-rate", type=Decimal, default=Decimal("0.02"))
    parser.add_argument("--untrained", action="store_true", help="ranks of a new R101")
    arguments = parser.parse_args()
    if arguments.untrained or arguments.data is None:
        print_untrained()
        return
    location = DataLocation(
        root=str(arguments.data.absolute()),
        train="train.json",
        val="val.json",
        train_images="images",
        val_images="images",
    )
    state = trained(location, arguments.epochs, arguments.learning_rate)
    compare(state, DetectionData(location, "val", CLASSES))


def trained(location: DataLocation, epochs: int, rate: Decimal) -> State:
    """The thin detector after a training."""
    seed_everything(0)
    detector = build_detector(THIN_R50, SHAPE, len(CLASSES)).train()
    for module in detector.backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    training = Training(
        epochs=epochs,
        learning_rate=rate,
        batch_size=BATCH,
        schedule=Schedule.COSINE,
        warmup_iterations=60,
    )
    data = DetectionData(location, "train", CLASSES)
    draws = BatchDraws(0, data.groups(True), BATCH, (SIZE,), 0.0, epochs)
    optimiser = torch.optim.SGD(
        detector.parameters(), lr=float(rate), momentum=0.9, weight_decay=1e-4
    )
    steps = draws.iterations
    for step, batch in enumerate(batches(data, (draws.batch(i) for i in range(steps)))):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(training, step, steps)
        prepared = detector.data_preprocessor(batch, True)
        losses = detector.loss(prepared["inputs"], prepared["data_samples"])
        loss, _ = detector.parse_losses(losses)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 35)
        optimiser.step()
        if step % 60 == 0:
            print(f"step {step}/{steps}: loss {loss.item():.3f}", flush=True)
    return detector.state_dict()


def compare(state: State, data: DetectionData) -> None:
    """Print what is left without each block, and how each measure ranks it."""
    ranks = {norm: layer_ranks(THIN_R50, state, norm) for norm in NORMS}
    print(f"all blocks: {score(THIN_R50, state, data):.1f} mAP")
    print(f"{'block':>8}{'mAP':>8}" + "".join(f"{norm:>14}" for norm in NORMS))
    left = {}
    for place in ranks["Sum"]:
        morphism = prune_layer(THIN_R50, place)
        left[place] = score(morphism.architecture, inherit(state, morphism), data)
        values = "".join(f"{ranks[norm][place]:14.4g}" for norm in NORMS)
        print(f"{_name(place):>8}{left[place]:8.1f}{values}", flush=True)
    print(f"\n{'measure':<14}{'first':>8}{'mAP':>8}{f'first {FIRST}':>9}{'correlation':>13}")
    for norm in NORMS:
        order = sorted(left, key=ranks[norm].__getitem__)
        several = fmean(left[place] for place in order[:FIRST])
        agreement = correlation([left[p] for p in order], [-ranks[norm][p] for p in order])
        print(f"{norm:<14}{_name(order[0]):>8}{left[order[0]]:8.1f}{several:9.1f}{agreement:13.2f}")
    best = sorted(left.values())[-FIRST:]
    print(f"{'best possible':<14}{'':>8}{best[-1]:8.1f}{fmean(best):9.1f}")


def score(architecture: Architecture, state: State, data: DetectionData) -> float:
    """mAP in percent."""
    detector = load_detector(architecture, SHAPE, len(CLASSES), state)
    return 100 * evaluate(detector, data, SIZE, BATCH).map


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation; 1 if both order alike."""
    ranks = torch.tensor([_ranks(first), _ranks(second)], dtype=torch.float64)
    return float(torch.corrcoef(ranks)[0, 1])


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]


def _name(place: Place) -> str:
    return f"{place.stage + 1}.{place.block + 1}"


def print_untrained() -> None:
    """Print, per stage, the mean of each measure over the blocks of a new R101."""
    torch.manual_seed(0)
    architecture = model_architecture(Model.R101)
    state = build_detector(architecture, DetectorShape(), 80).state_dict()
    print(f"{'stage':>6}" + "".join(f"{norm:>14}" for norm in NORMS))
    ranks = {norm: layer_ranks(architecture, state, norm) for norm in NORMS}
    for stage in range(len(architecture.stages)):
        means = (fmean(v for p, v in ranks[norm].items() if p.stage == stage) for norm in NORMS)
        print(f"{stage + 1:>6}" + "".join(f"{mean:14.4g}" for mean in means))


if __name__ == "__main__":
    main()
