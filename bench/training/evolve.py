"""Time of f_evolve on a full-size detector, for every action: the aim is 2 s at most.

python -m bench.training.evolve --architecture r101 --repeat 3
"""

import argparse
import statistics
import time
from decimal import Decimal

import torch

from detnas.actions import Action, AddLayer, ChannelPruning, LayerPruning, Rearrange
from detnas.records.settings import DetectorShape
from detnas.spec.base import Model, model_architecture
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.evolve import evolve

BASES = {
    "r18": Model.R18,
    "r50": Model.R50,
    "r101": Model.R101,
    "x101": Model.X101,
    "mobilenetv2": Model.MOBILENET_V2,
}
ACTIONS: dict[str, Action] = {
    "channel pruning, 5 %": ChannelPruning(),
    "channel pruning, 50 %": ChannelPruning(fraction=Decimal("0.5")),
    "layer pruning": LayerPruning(),
    "add-layer, stage 4": AddLayer(stage=3),
    "rearrange, 3 to 4": Rearrange(source=2, target=3),
    "rearrange, 4 to 3": Rearrange(source=3, target=2),
}
CLASSES = 80


def main() -> None:
    """Print one line an action: median seconds of evolving, and of building the student."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", choices=BASES, default="r101")
    parser.add_argument("--repeat", type=int, default=3, help="runs of every action")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    parent = model_architecture(BASES[arguments.architecture])
    detector = build_detector(parent, DetectorShape(), CLASSES)
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight)
    state = detector.state_dict()
    print(f"{arguments.architecture}, {torch.get_num_threads()} threads")
    print(f"{'action':<24}{'evolve, s':>12}{'build, s':>12}")
    for name, action in ACTIONS.items():
        evolving, building = [], []
        for seed in range(arguments.repeat):
            start = time.perf_counter()
            evolved = evolve(parent, state, action, seed)
            middle = time.perf_counter()
            load_detector(evolved.architecture, DetectorShape(), CLASSES, evolved.state)
            evolving.append(middle - start)
            building.append(time.perf_counter() - middle)
        print(f"{name:<24}{statistics.median(evolving):>12.3f}{statistics.median(building):>12.3f}")


if __name__ == "__main__":
    main()
