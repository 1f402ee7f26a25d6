"""Subnets of the pool as candidates themselves: evaluated, extracted, fine-tuned, exported."""

import multiprocessing
import os
import signal
import time

import pytest
import torch

from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.requests import Pool
from detnas.records.results import EvaluatedSubnets, Outcome, SubnetsResult
from detnas.store.artifacts import load_record, publish_file
from detnas_trainer import jobs
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.weights import save_weights
from tests.trainer.conftest import CLASSES, SHAPE, SPACE, Workplace, stopping

SUBNETS = tuple(SPACE.subnets())[:4]
NARROW = SPACE.smallest


@pytest.fixture
def pool(workplace: Workplace) -> Pool:
    """A pool of untrained weights."""
    torch.manual_seed(3)
    largest = SPACE.largest
    architecture, neck = SHAPE.architecture(largest), SHAPE.neck_width(largest)
    detector = build_detector(architecture, workplace.common["detector"], len(CLASSES), neck)
    path = workplace.root / "weights.safetensors"
    save_weights(path, detector.state_dict())
    weights: Artifact = publish_file(workplace.store, "local/given", path, "safetensors")
    return Pool(supernet=SHAPE, space=SPACE, weights=weights, bn_images=4, seed=1)


def test_subnets_score_as_in_the_pools_own_evaluation(workplace: Workplace) -> None:
    phase = workplace.succeed(workplace.pool_request("local/pools/p/phase-0", phase=0))
    pool = Pool(supernet=SHAPE, space=SPACE, weights=phase.weights, bn_images=4, seed=5)
    request = workplace.subnets_request(
        "local/a/trials/0000", pool=pool, subnets=(SPACE.largest, NARROW)
    )
    largest, smallest = workplace.succeed(request).subnets
    by_name = {subnet.name: subnet for subnet in phase.subnets}
    assert largest.scores == by_name["largest"].scores
    assert smallest.scores[0] in by_name["smallest"].scores or (
        smallest.scores[1] in by_name["smallest"].scores
    )
    assert [len(subnet.scores) for subnet in (largest, smallest)] == [2, 2]


def test_extracted_subnet_is_a_detector_of_its_own(workplace: Workplace, pool: Pool) -> None:
    subnets = workplace.subnets_request("local/a/trials/0000", pool=pool, subnets=(NARROW,))
    evaluated = workplace.succeed(subnets)
    request = workplace.extract_request("local/a/extracted/0000", pool=pool, subnet=NARROW)
    extracted = workplace.succeed(request)
    scores = tuple(score.without_replicates for score in extracted.scores)
    assert scores == evaluated.subnets[0].scores
    assert extracted.architecture == SHAPE.architecture(NARROW)
    neck = SHAPE.neck_width(NARROW)
    assert neck < SHAPE.neck_width(SPACE.largest)
    shape = workplace.common["detector"].model_copy(update={"neck": neck})
    load_detector(extracted.architecture, shape, len(CLASSES), workplace.weights(extracted))


def test_extracted_subnet_is_finetuned_under_the_supernet_and_exported(
    workplace: Workplace, pool: Pool
) -> None:
    wide = SPACE.largest.model_copy(update={"depths": SPACE.min_depths})
    base = workplace.succeed(workplace.base_request("local/a/base"))
    extracted = workplace.succeed(
        workplace.extract_request("local/a/extracted/0000", pool=pool, subnet=wide)
    )
    shape = workplace.common["detector"].model_copy(update={"neck": SHAPE.neck_width(wide)})
    assert shape.neck != workplace.common["detector"].neck
    tuned = workplace.succeed(
        workplace.student_request(
            "local/a/finetune",
            kind="Finetune",
            detector=shape,
            parent=extracted.architecture,
            parent_weights=extracted.weights,
            teacher=SPACE.largest,
            pool=pool,
        )
    )
    assert "loss_distill_feature" in tuned.final_loss
    export = workplace.export_request(
        "local/a/students/best",
        detector=shape,
        weights=tuned.weights,
        resolution=tuned.scores[0].resolution,
        expected_map=tuned.scores[0].map,
        base_weights=base.weights,
        base_resolution=base.scores[1].resolution,
        base_detector=workplace.common["detector"],
    )
    export = export.model_copy(update={"architecture": tuned.architecture})
    assert workplace.succeed(export).outcome is Outcome.SUCCEEDED


def test_killed_job_keeps_the_scores_that_it_wrote(
    workplace: Workplace, pool: Pool, capfd: pytest.CaptureFixture[str]
) -> None:
    alone = workplace.subnets_request("local/alone/trials/0000", pool=pool, subnets=SUBNETS)
    expected: SubnetsResult = workplace.succeed(alone)
    request = alone.model_copy(update={"key": "local/killed/trials/0000"})
    uri = workplace.put(request)
    child = multiprocessing.get_context("fork").Process(
        target=lambda: os._exit(jobs.run("subnets", uri))
    )
    child.start()
    end = time.monotonic() + 120
    while not (before := _evaluated(workplace, request.key, 1)):
        assert child.is_alive()
        assert time.monotonic() < end
        time.sleep(0.005)
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    before = max(before, _evaluated(workplace, request.key, 1))
    assert before < len(SUBNETS)

    with stopping():  # within the next subnet, whose work is lost
        assert workplace.run(request) == 75
    capfd.readouterr()
    result = workplace.succeed(request)
    assert result.subnets == expected.subnets
    assert result.attempt == 3
    log = capfd.readouterr().err
    assert f"{before} of {len(SUBNETS)} subnets are evaluated" in log
    again = [number for number in range(len(SUBNETS)) if f"trial {number} at" in log]
    assert again == list(range(before, len(SUBNETS)))


def _evaluated(workplace: Workplace, folder: str, attempt: int) -> int:
    key = keys.subnet_scores_key(folder, attempt)
    found = load_record(workplace.store, key, EvaluatedSubnets)
    return len(found.subnets) if found else 0
