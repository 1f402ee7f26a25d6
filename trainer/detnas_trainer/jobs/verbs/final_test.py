"""The test job: score what the search has come to, once, on images that decided nothing."""

import json
from collections.abc import Iterable, Iterator

from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.requests import DetectorToTest, FinalTestRequest
from detnas.records.results import DetectorOnTest, FinalTestResult, FinalTestSoFar
from detnas.store.artifacts import load_record, put_record
from detnas.store.durable_files import sha256_of
from detnas_trainer.bootstrap import Detection
from detnas_trainer.data.annotations import AnnotatedSplit
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.detector import detector_state, load_detector
from detnas_trainer.jobs.data_set import fetch_prepared_data
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.verbs.scoring import found_at
from detnas_trainer.jobs.verbs.training import device
from detnas_trainer.ranks.group import from_first, is_first

_BOX_DIGITS = 2
_SCORE_DIGITS = 6


def final_test(job: Job[FinalTestRequest]) -> FinalTestResult:
    """Score each detector at its resolutions, from the first that no earlier attempt scored.

    Raises:
        Interrupted: the process was asked to stop.
    """
    fetch_prepared_data(job, ("test",))
    request = job.request
    with job.activity("loading"):
        data = DetectionData(request.data, "test", request.classes)
    done = from_first(lambda: _newest(job)) or FinalTestSoFar(detectors=())
    job.activities.add(done.seconds)
    scored, files = list(done.detectors), dict(done.files)
    left = request.detectors[len(scored) :]
    job.remaining.evaluating = len(data) * sum(
        resolution.pixels for one in left for resolution in one.resolutions
    )
    for one in left:
        scored.append(_scored(job, one, data, files))
        _save(job, scored, files)
    return job.result(FinalTestResult, detectors=tuple(scored), files=files)


def _scored(
    job: Job[FinalTestRequest],
    one: DetectorToTest,
    data: DetectionData,
    files: dict[str, Artifact],
) -> DetectorOnTest:
    """Score a detector, and store what it finds."""
    with job.activity("loading"):
        state = detector_state(job.fetch(one.weights).state)
        detector = load_detector(
            one.architecture, one.detector, len(job.request.classes), state
        ).to(device())

    scores = []
    job.remaining.evaluating_pace.interrupted()
    with data.lasting_workers():
        for resolution in one.resolutions:
            score, found = found_at(job, detector, data, resolution, one.name)
            scores.append(score)
            if is_first():
                name = f"{one.name}-{resolution}.json"
                files[name] = _published(job, name, list(coco_results(data.split, found)))
    return DetectorOnTest(name=one.name, scores=tuple(scores))


def coco_results(
    split: AnnotatedSplit, detections: Iterable[Detection]
) -> Iterator[dict[str, object]]:
    """Yield detections in COCO's format for results, under the ids of the annotation file."""
    images = dict(zip(split.image_numbers, split.image_ids, strict=True))
    classes = {
        number: identifier
        for number, (identifier, _) in zip(split.category_numbers, split.categories, strict=True)
    }
    for one in detections:
        yield {
            "image_id": images[one["image_id"]],
            "category_id": classes[one["category_id"]],
            "bbox": [round(side, _BOX_DIGITS) for side in one["bbox"]],
            "score": round(one["score"], _SCORE_DIGITS),
        }


def _published(job: Job[FinalTestRequest], name: str, results: object) -> Artifact:
    """Store a file under its own name, by which people fetch it: test servers take such files."""
    path, key = job.scratch / name, f"{job.folder.key}/{name}"
    with job.activity("publishing"):
        path.write_text(json.dumps(results))
        job.folder.store.upload_file(key, path)
        return Artifact(key=key, size=path.stat().st_size, sha256=sha256_of(path))


def _newest(job: Job[FinalTestRequest]) -> FinalTestSoFar | None:
    store, folder = job.folder.store, job.folder.key
    listed = store.list(f"{keys.attempts_folder(folder)}/")
    for attempt in sorted(keys.attempt_files(folder, listed), reverse=True):
        found = load_record(store, keys.tested_key(folder, attempt), FinalTestSoFar)
        if found is not None:
            log.info("%d of %d are scored", len(found.detectors), len(job.request.detectors))
            return found
    return None


def _save(
    job: Job[FinalTestRequest], scored: list[DetectorOnTest], files: dict[str, Artifact]
) -> None:
    if is_first():
        key = keys.tested_key(job.folder.key, job.attempt.number)
        seconds = {name: round(s, 3) for name, s in job.activities.seconds().items()}
        done = FinalTestSoFar(detectors=tuple(scored), files=files, seconds=seconds)
        put_record(job.folder.store, key, done)
