"""How strongly each distillation term pulls at a student, against detection itself.

    python -m bench.training.gradients SEARCH_FOLDER [--steps 90] [--feature-weight 1.0]

SEARCH_FOLDER is that of a search whose base and first pool phase are done, such as
runs/local/searches/digits-1a2b3c4d. The base is trained under the supernet, and the norms of every
term's gradient over backbone and neck are printed, unweighted, as the adaptor settles. The default
weights of `spec.distillation` rest on these figures.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import torch
from torch import Tensor

from detnas.records import keys
from detnas.records.requests import BaseRequest, PoolPhaseRequest
from detnas.records.results import DetectorResult, PoolPhaseResult
from detnas.records.settings import Distillation
from detnas.store import Store, open_store
from detnas.store.artifacts import fetch_artifact, load_record
from detnas_trainer.data.detection_data import DetectionData, batches
from detnas_trainer.data.draws import BatchDraws
from detnas_trainer.detector import detector_state, load_detector
from detnas_trainer.distillation import Adaptor, Distiller
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.training.gradients import seed_everything
from detnas_trainer.weights import load_weights

LEARNING_RATE = 0.01
AVERAGED = 5


def main() -> None:
    arguments = _arguments()
    search = arguments.search.absolute()
    store = open_store(search.parents[2].as_uri())
    key = str(search.relative_to(search.parents[2]))
    request, student = _student(store, key)
    teacher, neck = _teacher(store, arguments.pool or _only_pool(store, key))
    seed_everything(0)
    adaptor = Adaptor(request.detector.neck, neck)
    settings = Distillation(feature_weight=Decimal(arguments.feature_weight))
    distiller = Distiller(student.train(), teacher, settings, adaptor)
    data = DetectionData(request.data, "train", request.classes)
    size, resolutions = request.training.batch_size, request.resolutions
    epochs = -(-arguments.steps * size // len(data))
    draws = BatchDraws(0, data.groups(True), size, resolutions, 0.0, epochs)
    shared = [*student.backbone.parameters(), *student.neck.parameters()]
    optimiser = torch.optim.SGD(list(distiller.parameters()), lr=LEARNING_RATE, momentum=0.9)
    found: list[dict[str, float]] = []
    print(f"{'step':>6s}{'detection':>12s}{'feature':>12s}{'class':>12s}{'box':>12s}")
    for step, batch in enumerate(batches(data, (draws.batch(i) for i in range(arguments.steps)))):
        seed_everything(step)
        prepared = student.data_preprocessor(batch, True)
        terms = dict(_terms(distiller.loss(prepared["inputs"], prepared["data_samples"]), settings))
        found.append({name: _norm(value, shared) for name, value in terms.items()})
        optimiser.zero_grad()
        weights = {"feature": float(settings.feature_weight)}
        _total(weights.get(name, 1.0) * value for name, value in terms.items()).backward()
        torch.nn.utils.clip_grad_norm_(list(distiller.parameters()), 35)
        optimiser.step()
        if step % 15 == AVERAGED - 1:
            means = {name: sum(f[name] for f in found[-AVERAGED:]) / AVERAGED for name in terms}
            print(f"{step + 1:6d}" + "".join(f"{value:12.3f}" for value in means.values()))


def _terms(
    losses: Mapping[str, Tensor | list[Tensor]], settings: Distillation
) -> Iterator[tuple[str, Tensor]]:
    """Detection's total, and each distillation term without its weight."""
    totals = {n: _total(v) if isinstance(v, list) else v for n, v in losses.items() if "loss" in n}
    own = [v for n, v in totals.items() if not n.startswith(("loss_distill", "loss_bn"))]
    yield "detection", _total(own)
    yield "feature", totals["loss_distill_feature"] / float(settings.feature_weight)
    yield "class", totals["loss_distill_classification"]
    yield "box", totals["loss_distill_localization"]


def _norm(loss: Tensor, parameters: list[Tensor]) -> float:
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return float(_total(g.square().sum() for g in gradients if g is not None).sqrt())


def _total(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()


def _student(store: Store, search: str) -> tuple[BaseRequest, TwoStageDetector]:
    folder = keys.base_folder(search)
    request = load_record(store, keys.request_key(folder), BaseRequest)
    result = load_record(store, keys.result_key(folder), DetectorResult)
    assert request, f"{folder} has no request"
    assert result, f"{folder} has no result"
    state = detector_state(load_weights(fetch_artifact(store, result.weights)).state)
    classes = len(request.classes)
    return request, load_detector(request.architecture, request.detector, classes, state)


def _teacher(store: Store, pool: str) -> tuple[TwoStageDetector, int]:
    folder = keys.pool_phase_folder(pool, 0)
    request = load_record(store, keys.request_key(folder), PoolPhaseRequest)
    result = load_record(store, keys.result_key(folder), PoolPhaseResult)
    assert request, f"{folder} has no request"
    assert result, f"{folder} has no result"
    largest = request.full_space.largest
    neck = request.supernet.neck_width(largest)
    state = detector_state(load_weights(fetch_artifact(store, result.weights)).state)
    classes = len(request.classes)
    architecture = request.supernet.architecture(largest)
    teacher = load_detector(architecture, request.detector, classes, state, neck)
    return teacher.eval().requires_grad_(requires_grad=False), neck


def _only_pool(store: Store, search: str) -> str:
    namespace = search.split("/", maxsplit=1)[0]
    pools = {"/".join(key.split("/")[:3]) for key in store.list(f"{namespace}/pools/")}
    if len(pools) != 1:
        raise SystemExit(f"{len(pools)} pools there; name one by --pool: {', '.join(pools)}")
    return pools.pop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("search", type=Path, help="the search's folder")
    parser.add_argument("--pool", help="key of the pool, where the store has several")
    parser.add_argument("--steps", type=int, default=90)
    parser.add_argument("--feature-weight", default="1.0", help="while training; norms are not")
    return parser.parse_args()


if __name__ == "__main__":
    main()
