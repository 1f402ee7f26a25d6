"""The teacher of a pool's shrinking phases with its running and with recomputed statistics.

    python -m bench.training.shrinking_teacher POOL_FOLDER

POOL_FOLDER is that of a pool whose first phase is done, such as runs/local/pools/0123456789abcdef.
The supernet of phase 0 is scored on the validation images twice: with the batch norm statistics of
its last training steps, and with those of training images, as `ownStatistics` has it.
"""

import argparse
from pathlib import Path

from detnas.records import keys
from detnas.records.requests import PoolLayout, PoolPhaseRequest
from detnas.records.results import PoolPhaseResult
from detnas.store import open_store
from detnas.store.artifacts import fetch_artifact, load_record
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.detector import detector_state, load_detector
from detnas_trainer.evaluation import find, ground_truth, score
from detnas_trainer.jobs.verbs.teacher import statistics_batches
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.supernet import extract_teacher
from detnas_trainer.weights import load_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pool", type=Path, help="the pool's folder")
    pool = parser.parse_args().pool.absolute()
    request, detectors = teachers(pool)
    data = DetectionData(request.data, "val", request.classes)
    truth = ground_truth(data)
    print(f"{'mAP at':<12}" + "".join(f"{name:>12}" for name in detectors))
    for resolution in request.resolutions:
        print(f"{resolution!s:<12}", end="", flush=True)
        for detector in detectors.values():
            found = find(detector, data, resolution, request.evaluation_batch, lambda _: None)
            print(f"{score(truth, found, resolution).map:12.4f}", end="", flush=True)
        print()


def teachers(pool: Path) -> tuple[PoolPhaseRequest, dict[str, TwoStageDetector]]:
    """Phase 0's request, and its supernet with each kind of statistics."""
    store = open_store(pool.parents[2].as_uri())
    folder = keys.pool_phase_folder(str(pool.relative_to(pool.parents[2])), 0)
    request = load_record(store, keys.request_key(folder), PoolPhaseRequest)
    result = load_record(store, keys.result_key(folder), PoolPhaseResult)
    assert request, f"{folder} has no request"
    assert result, f"{folder} has no result"
    state = detector_state(load_weights(fetch_artifact(store, result.weights)).state)
    shape, space = request.supernet, request.full_space
    largest, classes = space.largest, len(request.classes)
    running = load_detector(
        shape.architecture(largest), request.detector, classes, state, shape.neck_width(largest)
    )
    train = DetectionData(request.data, "train", request.classes)
    recomputed = extract_teacher(
        state,
        PoolLayout(supernet=shape, space=space),
        largest,
        request.detector,
        classes,
        statistics_batches(request, request.seed, request.bn_images, train),
    )
    return request, {"running": running, "recomputed": recomputed}


if __name__ == "__main__":
    main()
