"""Changes to a manifest that make another search, and those that make another pool."""

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
def test_local_uid_of_changed_mutable_fields_is_equal(spec: dict[str, Any]) -> None:
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
def test_local_uid_of_changed_results_differs(spec: dict[str, Any]) -> None:
    assert local_uid(manifest(**spec)) != local_uid(manifest())


def test_settings_digest_is_of_sorted_json_with_shortest_numbers() -> None:
    # Spelled out: it must not change by accident which pool or search a manifest refers to.
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
        {"teachers": {"phases": PHASES, "activationCheckpointing": True}},
        {"finetune": {"epochs": 9}},
        {"evaluationBatch": 9},
        {"dataset": {**DATASET, "source": {"directory": "moved"}}},
        {"teachers": {"phases": PHASES, "depths": {"min": [2, 2, 2, 2], "max": [3, 4, 23, 3]}}},
        {"teachers": {"phases": [PHASES[0], {**PHASES[1], "minDepths": [2, 2, 2, 2]}]}},
    ],
)
def test_pool_digest_of_an_equal_training_is_equal(spec: dict[str, Any]) -> None:
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
        {"teachers": {"phases": PHASES, "zeroInitResidual": False}},
        {"resolutions": ["64x64"]},
        {"detector": {"fc": 512}},
        {"teachers": {"phases": PHASES, "distillation": {"featureWeight": "0.5"}}},
        {"dataset": {**DATASET, "horizontalFlip": "0"}},
    ],
)
def test_pool_digest_of_another_training_differs(spec: dict[str, Any]) -> None:
    assert pool_digest(manifest(**spec).spec, "data") != pool_digest(manifest().spec, "data")


def test_pool_digest_of_other_data_differs() -> None:
    assert pool_digest(manifest().spec, "data") != pool_digest(manifest().spec, "other data")
