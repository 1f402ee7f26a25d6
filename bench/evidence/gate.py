"""Whether a benchmark can tell one method from another: what must be true before arms are compared.

    python -m bench.evidence.gate SEARCH [--longer SEARCH]

SEARCH is the folder of a search, or its URI, that has trained its base and its pool. It is checked,
on the validation images at the largest resolution, and without training, that

- every block that can be deleted is used: deleting it costs mAP, and .03 on average;
- the ranking of channels carries information: pruning the lowest tenth of them costs less than
  pruning as many at random;
- teachers differ: the largest beats the smallest by .02, and mutations change what one reaches;
- the base is trained to its end: `--longer`, the same search with half again as many epochs for its
  base, reaches no more than .01 above it.

Prints every figure; the exit code is 1 if one of these is not so.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import fmean

import torch
from torch import Tensor

from detnas.actions import ChannelPruning, prunable_places, prune_layer
from detnas.architecture import Architecture
from detnas.lifecycle.reading.state import SearchReader
from detnas.lifecycle.record import StoredSearch
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.requests import BaseRequest, Pool
from detnas.records.results import DetectorResult
from detnas.records.settings import Split
from detnas.runner.opening import reopen_search
from detnas.store.artifacts import load_record
from detnas.teachers import Teacher
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.detector import load_detector
from detnas_trainer.evaluation import evaluate
from detnas_trainer.evolve.channel_pruning import prune_channels
from detnas_trainer.evolve.inheritance import inherit
from detnas_trainer.jobs.verbs.teacher import statistics_batches
from detnas_trainer.supernet import extract_teacher
from detnas_trainer.weights import load_weights

State = dict[str, Tensor]
MEAN_COST_OF_A_BLOCK = 0.03
LEAD_OF_THE_LARGEST = 0.02
MOST_LEFT_TO_LEARN = 0.01
FRACTION = Decimal("0.1")
RANDOM_PRUNINGS = 5
MUTATIONS = 3


@dataclass
class Gate:
    """Prints what is checked.

    Attributes:
        failed: titles of what is not so.
    """

    failed: list[str]

    def check(self, title: str, found: float, least: float, *, equal: bool = True) -> None:
        """Print one figure; it fails below ``least``, and at it unless ``equal``."""
        holds = found >= least if equal else found > least
        print(
            f"{'ok  ' if holds else 'FAIL'}  {title}: {found:+.4f}, at least {least:+.4f}",
            flush=True,
        )
        if not holds:
            self.failed.append(title)


@dataclass
class Subject:
    """The search that is checked: its base, its pool and its data."""

    search: StoredSearch
    request: BaseRequest
    result: DetectorResult
    pool: Pool | None
    scratch: Path

    @property
    def architecture(self) -> Architecture:
        """Of the base."""
        return self.request.architecture

    def weights(self, artifact: Artifact) -> State:
        """Weights in the search's store."""
        path = self.scratch / artifact.sha256
        if not path.exists():
            self.search.store.download_file(artifact.key, path)
        return load_weights(path).state

    def data(self, split: Split) -> DetectionData:
        """One split of the data set."""
        return DetectionData(self.request.data, split, self.request.classes)

    def map_of(self, architecture: Architecture, state: State) -> float:
        """What a detector reaches at the largest resolution."""
        request = self.request
        detector = load_detector(architecture, request.detector, len(request.classes), state)
        return self.evaluated(detector)

    def evaluated(self, detector: torch.nn.Module) -> float:
        """The same of a detector."""
        largest = max(self.request.resolutions, key=lambda one: one.pixels)
        return evaluate(detector, self.data("val"), largest, self.request.evaluation_batch).map


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("search")
    parser.add_argument("--longer", help="the same search with a base trained half again as long")
    arguments = parser.parse_args()
    gate = Gate([])
    with tempfile.TemporaryDirectory() as folder:
        subject = opened(arguments.search, Path(folder))
        state = subject.weights(subject.result.weights)
        whole = subject.map_of(subject.architecture, state)
        print(f"the base reaches {whole:.4f}")
        check_blocks(subject, state, whole, gate)
        check_channels(subject, state, gate)
        if subject.pool is not None:
            check_teachers(subject, subject.pool, gate)
        if arguments.longer is not None:
            longer = opened(arguments.longer, Path(folder))
            gain = longer.map_of(longer.architecture, longer.weights(longer.result.weights)) - whole
            gate.check("left to learn for the base, negated", -gain, -MOST_LEFT_TO_LEARN)
    if gate.failed:
        sys.exit(f"the benchmark cannot tell: {'; '.join(gate.failed)}")


def opened(uri: str, scratch: Path) -> Subject:
    """Open a search whose base is trained."""
    search = reopen_search(uri)
    requests = search.requests
    folder = keys.base_folder(requests.search)
    request = load_record(search.store, keys.request_key(folder), BaseRequest)
    result = load_record(search.store, keys.result_key(folder), DetectorResult)
    if request is None or result is None:
        sys.exit(f"{uri}: its base is not trained; run the search first")
    state = SearchReader(search.store, requests).read()
    trained = len(state.pool) == len(requests.spec.teachers.trained_phases)
    pool = requests.pool(state.pool) if trained else None
    if pool is None:
        print("no trained pool: teachers are not checked")
    return Subject(search, request, result, pool, scratch)


def check_blocks(subject: Subject, state: State, whole: float, gate: Gate) -> None:
    """What each deletion costs."""
    costs = []
    for place in prunable_places(subject.architecture):
        morphism = prune_layer(subject.architecture, place)
        costs.append(whole - subject.map_of(morphism.architecture, inherit(state, morphism)))
        gate.check(
            f"mAP lost without block {place.block + 1} of stage {place.stage + 1}",
            costs[-1],
            0,
            equal=False,
        )
    gate.check("mAP lost without a block, mean", fmean(costs), MEAN_COST_OF_A_BLOCK)


def check_channels(subject: Subject, state: State, gate: Gate) -> None:
    """What pruning by rank leaves, beside pruning as many channels of each layer at random."""
    action = ChannelPruning(fraction=FRACTION)

    def left(ranked_by: State) -> float:
        return subject.map_of(*prune_channels(subject.architecture, state, action, ranked_by))

    ranked = left(state)
    drawn = [left(permuted(state, seed)) for seed in range(RANDOM_PRUNINGS)]
    print(f"a tenth pruned by rank {ranked:.4f}, at random {[round(one, 4) for one in drawn]}")
    title = "pruned by rank, less the best of those at random"
    gate.check(title, ranked - max(drawn), 0, equal=False)


def permuted(state: State, seed: int) -> State:
    """The weights, with those of each batch norm in another order: their ranks are random."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: tensor[torch.randperm(len(tensor), generator=generator)]
        if tensor.ndim == 1
        else tensor
        for name, tensor in state.items()
    }


def check_teachers(subject: Subject, pool: Pool, gate: Gate) -> None:
    """What the largest teacher, the smallest, and mutations of the largest reach."""
    state = subject.weights(pool.weights)
    training = subject.data("train")

    def reached(teacher: Teacher) -> float:
        samples = statistics_batches(subject.request, pool.seed, pool.bn_images, training)
        classes = len(subject.request.classes)
        detector = extract_teacher(state, pool, teacher, subject.request.detector, classes, samples)
        return subject.evaluated(detector)

    largest, smallest = reached(pool.space.largest), reached(pool.space.smallest)
    print(f"the largest teacher reaches {largest:.4f}, the smallest {smallest:.4f}")
    gate.check("the largest teacher less the smallest", largest - smallest, LEAD_OF_THE_LARGEST)
    differences = []
    for teacher in mutations(pool, Random(0)):
        found = reached(teacher)
        depths, widths = (", ".join(map(str, one)) for one in (teacher.depths, teacher.widths))
        print(f"a mutation reaches {found:.4f}: depths {depths}, widths {widths}")
        differences.append(abs(found - largest))
    gate.check("mutations change a teacher, the least of them", min(differences), 0.001)


def mutations(pool: Pool, random: Random) -> Iterator[Teacher]:
    """Some mutations of the largest teacher."""
    possible = [one for group in pool.space.mutations(pool.space.largest) for one in group]
    yield from random.sample(possible, min(MUTATIONS, len(possible)))


if __name__ == "__main__":
    main()
