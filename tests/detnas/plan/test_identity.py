"""Which changes to a manifest mean another search, and which another pool."""

import hashlib
from decimal import Decimal
from typing import Any

import pytest

from detnas.plan.digests import local_uid, pool_digest, settings_digest
from tests.detnas.searches.results import ENCODING, manifest

PHASES = [{"epochs": 2, "learningRate": "0.1"}, {"epochs": 1, "learningRate": "0.05"}]
DATASET = {"source": {"directory": "data"}, "train": "train.json", "val": "val.json"}


@pytest.mark.parametrize(
    "spec",
    [
        {"search": {"trials": 400}},
        {"search": {"trials": 4, "parallelism": 8}},
        {"search": {"trials": 4, "patience": 3}},
        {"retention": {"weights": "All"}},
        {"storage": {"uri": "s3://elsewhere/experiments"}},
        {"search": {"trials": 4, "alpha": "0.40"}},  # the default, written otherwise
    ],
)
def test_a_search_goes_on_with_more_trials_or_slots(spec: dict[str, Any]) -> None:
    assert local_uid(manifest(**spec)) == local_uid(manifest())


@pytest.mark.parametrize(
    "spec",
    [
        {"search": {"trials": 4, "seed": 1}},
        {"search": {"trials": 4, "alpha": "0.1"}},
        {"evaluation": {"epochs": 4}},
        {"resolutions": ["64x64", "128x128"]},
        {"base": {"architecture": ENCODING, "stem": 16, "train": {"epochs": 3}}},
        {"finetune": {"epochs": 1}},
        {"teachers": {"phases": PHASES, "seed": 1}},
    ],
)
def test_what_changes_results_makes_another_search(spec: dict[str, Any]) -> None:
    assert local_uid(manifest(**spec)) != local_uid(manifest())


def test_a_digest_is_of_the_sorted_json_with_numbers_in_their_shortest_form() -> None:
    # Spelled out, so that nobody changes by accident which pool or search a manifest means.
    written = b'{"a":["1.5",null],"b":1,"c":"100"}'
    settings = {"c": Decimal("1e2"), "b": 1, "a": [Decimal("1.50"), None]}
    assert settings_digest(settings) == hashlib.sha256(written).hexdigest()


@pytest.mark.parametrize(
    "spec",
    [
        {"search": {"trials": 9, "seed": 9, "parallelism": 9}},
        {"base": {"model": "faster-rcnn-r18-fpn", "train": {"epochs": 9}}},
        {"evaluation": {"epochs": 9}},
        {"distillation": {"featureWeight": "0.5"}},
        {"finetune": {"epochs": 9}},
        {"evaluationBatch": 9},
        {"dataset": {**DATASET, "source": {"directory": "moved"}}},
        {"teachers": {"phases": PHASES, "depths": {"min": [2, 2, 2, 2], "max": [3, 4, 23, 3]}}},
        {"teachers": {"phases": [PHASES[0], {**PHASES[1], "minDepths": [2, 2, 2, 2]}]}},
    ],
)
def test_searches_share_a_pool_whose_training_is_the_same(spec: dict[str, Any]) -> None:
    assert pool_digest(manifest(**spec).spec, "data") == pool_digest(manifest().spec, "data")


@pytest.mark.parametrize(
    "spec",
    [
        {"teachers": {"phases": PHASES, "seed": 1}},
        {"teachers": {"phases": PHASES, "batchSize": 32}},
        {"teachers": {"phases": PHASES[:1]}},
        {"teachers": {"phases": PHASES, "widths": ["1.0", "1.5"]}},
        {"teachers": {"phases": PHASES, "depths": {"max": [3, 4, 22, 3]}}},
        {"teachers": {"phases": PHASES, "supernet": {"neck": 128}}},
        {"teachers": {"phases": PHASES, "bnImages": 64}},
        {"resolutions": ["64x64"]},
        {"detector": {"fc": 512}},
        {"teachers": {"phases": PHASES, "distillation": {"featureWeight": "0.5"}}},
        {"dataset": {**DATASET, "horizontalFlip": "0"}},
    ],
)
def test_another_training_is_another_pool(spec: dict[str, Any]) -> None:
    assert pool_digest(manifest(**spec).spec, "data") != pool_digest(manifest().spec, "data")


def test_other_data_is_another_pool() -> None:
    assert pool_digest(manifest().spec, "data") != pool_digest(manifest().spec, "other data")
