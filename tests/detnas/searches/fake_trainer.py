"""A job server with plausible results: no torch, fractions of a second, the real protocol.

``python fake_trainer.py FOLDER``: in FOLDER ``faults.json`` maps the end of a job's key to what
its attempts do, in order (``exit 1``, ``exit 75``, ``kill``, ``hang``, ``deaf``, ``truncate``);
``starts.txt`` gets a line for every process that begins a job, ``devices.txt`` one with its GPUs,
``stops.txt`` one for every process that stopped on request.
"""

import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, NoReturn

import detnas.store.directory
from detnas.actions import AddLayer, Rearrange
from detnas.actions.morphism import add_layer, rearrange
from detnas.architecture import Architecture, Block
from detnas.data_identity import list_images
from detnas.data_identity.files import annotation_file
from detnas.records import keys
from detnas.records.artifacts import EXTERNAL_TEACHER, IMAGE_LISTING, TEST_LISTING, Artifact
from detnas.records.exports import ExportedFile, FilePrecision
from detnas.records.latency import LatencyDevice, RelativeLatency
from detnas.records.progress import Progress
from detnas.records.requests import (
    BaseRequest,
    DetectorToTest,
    EvaluationRequest,
    ExportRequest,
    ExtractRequest,
    FinalTestRequest,
    PoolPhaseRequest,
    PrepareRequest,
    Request,
    StudentRequest,
    SubnetsRequest,
)
from detnas.records.results import (
    Attempt,
    DetectorOnTest,
    DetectorResult,
    ExportResult,
    FinalTestResult,
    Latency,
    PoolPhaseResult,
    PrepareResult,
    Result,
    Score,
    SplitSummary,
    SubnetScore,
    SubnetsResult,
)
from detnas.records.settings import SPLITS, Resolution, Split
from detnas.records.verbs import ADDED_VERBS
from detnas.store import Store, open_store
from detnas.store.artifacts import create_record, publish_file, put_record
from detnas.store.durable_files import sha256_of
from detnas.store.errors import AlreadyExists
from detnas.store.record_format import decode_record, encode_record
from detnas.teachers import Teacher
from detnas_trainer.process_setup import die_with
from detnas_trainer.warm import Server

SECONDS = 0.03
DEVICE = "a pretended GPU"
HELD_SECONDS = 120


def main() -> None:
    """Serve jobs until the parent ends."""
    die_with(os.getppid())
    folder = Path(sys.argv[1])
    watch_writes(folder)
    Server(lambda verb, uri: run(folder, verb, uri), os.dup(1)).serve()


def run(folder: Path, verb: str, uri: str) -> int:
    """Do a job as its faults say, and write its result; return its exit code."""
    stored = open_store(uri).get("request.json")
    assert stored is not None
    request = decode_record(stored.data, uri, Request)
    assert uri.endswith(f"/{request.key}")
    store = open_store(uri.removesuffix(f"/{request.key}"))
    number = 1 + sum(key.endswith("/attempt.json") for key in store.list(f"{request.key}/"))
    started = datetime.now(UTC)
    attempt = keys.attempt_folder(request.key, number)
    create_record(store, f"{attempt}/attempt.json", Attempt(number=number, started=started))
    threads = os.environ["OMP_NUM_THREADS"]
    print(f"{verb}: attempt {number}, threads: {threads}", flush=True)
    progress = Progress(activity="training", done=1, total=2, epoch=1, epochs=1, updated=started)
    put_record(store, f"{attempt}/progress.json", progress)
    faulty = fault(folder, request.key, number)
    signal.signal(signal.SIGTERM, lambda *_: faulty == "deaf" or stop(folder, request.key))
    with (folder / "starts.txt").open("a") as starts:
        starts.write(f"{request.key} {os.getpid()}\n")
    with (folder / "devices.txt").open("a") as devices:
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "unset")
        devices.write(f"{request.key.rpartition('/')[2]} {given}\n")
    if (code := carry_out(faulty)) is not None:
        return code
    time.sleep(SECONDS)
    result = answer(store, request, folder).model_copy(
        update={"attempt": number, "started": started, "finished": datetime.now(UTC)}
    )
    for file in result.files.values() if faulty == "truncate" else ():
        store.put(file.key, b"cut short")
    create_record(store, keys.result_key(request.key), result)
    return 0


def stop(folder: Path, key: str) -> NoReturn:
    """End as a job does that has written its checkpoint."""
    with (folder / "stops.txt").open("a") as stops:
        stops.write(f"{key}\n")
    os._exit(75)


def fault(folder: Path, key: str, number: int) -> str:
    """Return the fault of this attempt; empty if none."""
    path = folder / "faults.json"
    faults: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    for end, by_attempt in faults.items():
        if key.endswith(end) and number <= len(by_attempt):
            print(f"fault: {by_attempt[number - 1]}", flush=True)
            return by_attempt[number - 1]
    return ""


def carry_out(faulty: str) -> int | None:
    """Let a fault happen; return the exit code if the job ends with it."""
    if faulty == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    until = time.monotonic() + 600
    while faulty in ("hang", "deaf") and time.monotonic() < until:
        time.sleep(1)
    return int(faulty.removeprefix("exit ")) if faulty.startswith("exit ") else None


def answer(store: Store, request: Any, folder: Path) -> Result:
    """Return a plausible result, which follows from the request alone."""
    now = datetime.now(UTC)
    when: dict[str, Any] = {"started": now, "finished": now}
    if isinstance(request, PrepareRequest):
        seen = seen_data(store, request, folder)
        if request.teacher is not None:
            stored = {EXTERNAL_TEACHER: weights(store, request, folder)}
            seen = {**seen, "files": {**seen.get("files", {}), **stored}}
            seen["teacher"] = ("a" * 64, "b" * 64)
        verbs = tuple(map(str, ADDED_VERBS))
        known = {"verbs": verbs, "measures_latency": True}
        return PrepareResult(**when, **seen, **known, digest="d" * 64, classes=("cat", "dog"))
    if isinstance(request, FinalTestRequest):
        return FinalTestResult(**when, detectors=tuple(map(on_test, request.detectors)))
    if isinstance(request, ExportRequest):
        latency = Latency(resolution=request.resolution, milliseconds=5.0, device="cpu")
        if "/exports/" in request.key:  # only these are copied to the user
            stored = weights(store, request, folder)
            when["files"] = {"detector.pth": named(store, stored, request.key)}
            when["exported"] = exported_files(request)
        return ExportResult(
            **when, map=request.expected_map, student_latency=latency, base_latency=latency
        )
    if isinstance(request, SubnetsRequest):
        found = tuple(timed_subnet(store, request, subnet) for subnet in request.subnets)
        return SubnetsResult(**when, subnets=found)
    when["files"] = {"weights": weights(store, request, folder)}
    if isinstance(request, PoolPhaseRequest):
        return PoolPhaseResult(**when)
    return DetectorResult(**when, **timed(store, request, detector(request)))


def detector(request: BaseRequest | StudentRequest | ExtractRequest) -> dict[str, Any]:
    """What a job of a detector finds."""
    if isinstance(request, ExtractRequest):
        architecture = request.pool.supernet.architecture(request.subnet)
        found = subnet_score(request.subnet, request.resolutions)
        return {"architecture": architecture, "scores": found.scores}
    own = request.architecture if isinstance(request, BaseRequest) else evolved(request)
    return {"architecture": own, "scores": drawn(Random(request.seed), request.resolutions)}


def timed_subnet(store: Store, request: SubnetsRequest, subnet: Teacher) -> SubnetScore:
    """A subnet's metrics, with latencies if the request asks for them."""
    found = subnet_score(subnet, request.resolutions)
    architecture = request.pool.supernet.architecture(subnet)
    scores = timed(store, request, {"architecture": architecture, "scores": found.scores})
    return found.model_copy(update={"scores": scores["scores"]})


def timed(store: Store, request: EvaluationRequest, found: dict[str, Any]) -> dict[str, Any]:
    """Findings with latencies, if the request asks for them: recorded as the trainer does."""
    if request.latency is None:
        return found
    with contextlib.suppress(AlreadyExists):
        device = LatencyDevice(device=DEVICE)
        create_record(store, keys.latency_device_key(request.latency.folder), device)
    own, base = found["architecture"], request.latency.base
    scores = [
        score.model_copy(
            update={
                "latency": RelativeLatency(
                    milliseconds=milliseconds(own, score.resolution),
                    base_milliseconds=milliseconds(base, score.resolution),
                    device=DEVICE,
                )
            }
        )
        for score in found["scores"]
    ]
    return {**found, "scores": tuple(scores)}


def milliseconds(architecture: Architecture, resolution: Resolution) -> float:
    """A latency that grows with layers rather than with FLOPs."""
    return 1.0 + len(architecture.blocks) + resolution.pixels / 1e4


def seen_data(store: Store, request: PrepareRequest, folder: Path) -> dict[str, Any]:
    """Describe the dataset as the real trainer does; empty if there is none."""
    location = request.data
    if not annotation_file(location, "train").is_file():
        return {}
    names: dict[Split, list[str]] = {}
    found: dict[str, Any] = {}
    for split in location.splits:
        content = annotation_file(location, split).read_bytes()
        names[split] = [image["file_name"] for image in json.loads(content)["images"]]
        digest = hashlib.sha256(content).hexdigest()
        images = len(names[split])
        found[split] = SplitSummary(sha256=digest, images=images, boxes=images, empty_images=0)
    path, found["files"] = folder / f"images-{os.getpid()}.json", {}
    for role, splits in {IMAGE_LISTING: SPLITS, TEST_LISTING: ("test",)}.items():
        if listed := {split: names[split] for split in splits if split in names}:
            path.write_bytes(encode_record(list_images(location, listed)))
            found["files"][role] = publish_file(store, request.key, path, "json")
            path.unlink()
    found["weights"] = sha256_of(Path(request.weights)) if request.weights else ""
    return found


def weights(store: Store, request: Any, folder: Path) -> Any:
    """Publish a file whose content follows from the request."""
    path = folder / f"weights-{os.getpid()}"
    content = request.model_dump_json(exclude={"data"}).encode()
    path.write_bytes(hashlib.sha256(content).digest() * 64)
    artifact = publish_file(store, request.key, path, "safetensors")
    path.unlink()
    return artifact


def named(store: Store, file: Artifact, folder: str) -> Artifact:
    """The same content under the name by which people copy it."""
    key = f"{folder}/detector.pth"
    store.copy(file.key, key)
    return file.model_copy(update={"key": key})


def exported_files(request: ExportRequest) -> tuple[ExportedFile, ...]:
    """The files that were requested; 8 bits lose too much."""
    wanted = () if request.files is None else request.files.wanted
    return tuple(
        ExportedFile(
            path=f"detector-{precision.lower()}.{form.lower()}",
            format=form,
            precision=precision,
            map=request.expected_map,
            remark="its mAP is too low" if precision is FilePrecision.INT8 else "",
        )
        for form, precision in wanted
    )


def evolved(request: StudentRequest) -> Architecture:
    """The structural effect; pruning takes a channel from a block's inside."""
    action = request.action
    if request.narrowed is not None:
        return request.narrowed
    if isinstance(action, AddLayer):
        return add_layer(request.parent, action.stage).architecture
    if isinstance(action, Rearrange):
        return rearrange(request.parent, action.source, action.target).architecture
    if action is None:
        return request.parent
    stages = [list(stage) for stage in request.parent.stages]
    inner, *rest = stages[3][0].widths
    stages[3][0] = Block(widths=(inner - 1, *rest))
    return Architecture(
        family=request.parent.family,
        stem=request.parent.stem,
        stages=tuple(tuple(stage) for stage in stages),
    )


def on_test(one: DetectorToTest) -> DetectorOnTest:
    """Metrics drawn from the detector's name alone."""
    return DetectorOnTest(name=one.name, scores=drawn(Random(one.name), one.resolutions))


def subnet_score(subnet: Teacher, resolutions: tuple[Resolution, ...]) -> SubnetScore:
    """Metrics drawn from the subnet alone, whichever job evaluates it."""
    return SubnetScore(
        name="subnet",
        depths=subnet.depths,
        widths=tuple(map(str, subnet.widths)),
        scores=drawn(Random(subnet.model_dump_json()), resolutions),
    )


def drawn(random: Random, resolutions: tuple[Resolution, ...]) -> tuple[Score, ...]:
    """Plausible metrics at each resolution."""
    return tuple(
        Score(
            resolution=resolution,
            map=random.uniform(0.3, 0.5),
            ap50=0.6,
            ap75=0.4,
            ap_small=-1,
            ap_medium=0.4,
            ap_large=0.5,
        )
        for resolution in resolutions
    )


def watch_writes(folder: Path) -> None:
    """Log store writes of this process in ``folder/writes.txt``, if that file exists.

    While ``folder/hold`` exists, a write waits between the object's bytes and its name, and
    ``folder/held`` names it.
    """
    if not (folder / "writes.txt").exists():
        return
    for name in ("link_into_place", "rename_into_place"):
        original = getattr(detnas.store.directory, name)
        setattr(detnas.store.directory, name, watched(original, folder))


def watched(write: Callable[[BinaryIO, Path], None], folder: Path) -> Callable[..., Any]:
    """Wrap a write of an object."""

    def watched_write(file: BinaryIO, target: Path) -> None:
        with (folder / "writes.txt").open("a") as writes:
            writes.write(f"{time.time()} {os.getpid()} {target.name}\n")
        if (folder / "hold").exists():
            (folder / "held").write_text(target.name)
            time.sleep(HELD_SECONDS)
        write(file, target)

    return watched_write


if __name__ == "__main__":
    main()
