"""A job server whose jobs only pretend: no torch, fractions of a second, the same protocol.

``python fake_trainer.py FOLDER``: in FOLDER ``faults.json`` maps the end of a job's key to what
its attempts do, in order (``exit 1``, ``exit 75``, ``kill``, ``hang``, ``deaf``, ``truncate``);
``starts.txt`` gets a line for every process that begins a job, ``stops.txt`` for every one that
was asked to stop and had the time to do so.
"""

import hashlib
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NoReturn

from pydantic import TypeAdapter

from detnas.actions import AddLayer, Rearrange
from detnas.actions.morphism import add_layer, rearrange
from detnas.architecture import Architecture, Block
from detnas.data_identity import list_images
from detnas.data_identity.files import SPLITS, Split, annotation_file
from detnas.records import keys
from detnas.records.progress import Progress
from detnas.records.requests import (
    BaseRequest,
    ExportRequest,
    PoolPhaseRequest,
    PrepareRequest,
    Request,
    StudentRequest,
)
from detnas.records.results import (
    Attempt,
    DetectorResult,
    ExportResult,
    Latency,
    PoolPhaseResult,
    PrepareResult,
    Result,
    Score,
    SplitSummary,
)
from detnas.store import Store, open_store
from detnas.store.artifacts import canonical_json, create_record, publish_file, put_record
from detnas.store.durable_files import sha256_of
from detnas_trainer.process_setup import die_with
from detnas_trainer.warm import Server
from tests.detnas.runner.watched_writes import watch_writes

SECONDS = 0.03


def main() -> None:
    """Serve like the real one."""
    die_with(os.getppid())
    folder = Path(sys.argv[1])
    watch_writes(folder)
    Server(lambda verb, uri: run(folder, verb, uri), os.dup(1)).serve()


def run(folder: Path, verb: str, uri: str) -> int:
    """Pretend to do a job."""
    stored = open_store(uri).get("request.json")
    assert stored is not None
    request = TypeAdapter[Any](Request).validate_json(stored.data)
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
    what = fault(folder, request.key, number)
    signal.signal(signal.SIGTERM, lambda *_: what == "deaf" or stop(folder, request.key))
    with (folder / "starts.txt").open("a") as starts:
        starts.write(f"{request.key} {os.getpid()}\n")
    if (code := carry_out(what)) is not None:
        return code
    time.sleep(SECONDS)
    result = answer(store, request, folder).model_copy(
        update={"attempt": number, "started": started, "finished": datetime.now(UTC)}
    )
    for file in result.files.values() if what == "truncate" else ():
        store.put(file.key, b"cut short")
    create_record(store, keys.result_key(request.key), result)
    return 0


def stop(folder: Path, key: str) -> NoReturn:
    """End as a job does that has written its checkpoint."""
    with (folder / "stops.txt").open("a") as stops:
        stops.write(f"{key}\n")
    os._exit(75)


def fault(folder: Path, key: str, number: int) -> str:
    """What goes wrong in this attempt; empty for nothing."""
    path = folder / "faults.json"
    faults: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    for end, what in faults.items():
        if key.endswith(end) and number <= len(what):
            print(f"fault: {what[number - 1]}", flush=True)
            return what[number - 1]
    return ""


def carry_out(what: str) -> int | None:
    """Let a fault happen; return the exit code if the job ends with it."""
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    until = time.monotonic() + 600
    while what in ("hang", "deaf") and time.monotonic() < until:
        time.sleep(1)
    return int(what.removeprefix("exit ")) if what.startswith("exit ") else None


def answer(store: Store, request: Any, folder: Path) -> Result:
    """What a job of this kind finds, decided by its request alone."""
    now = datetime.now(UTC)
    when: dict[str, Any] = {"started": now, "finished": now}
    if isinstance(request, PrepareRequest):
        seen = seen_data(store, request, folder)
        return PrepareResult(**when, **seen, digest="d" * 64, classes=("cat", "dog"))
    if isinstance(request, ExportRequest):
        latency = Latency(resolution=request.resolution, milliseconds=5.0, device="cpu")
        return ExportResult(
            **when, map=request.expected_map, student_latency=latency, base_latency=latency
        )
    when["files"] = {"weights": weights(store, request, folder)}
    if isinstance(request, PoolPhaseRequest):
        return PoolPhaseResult(**when)
    assert isinstance(request, BaseRequest | StudentRequest)
    if isinstance(request, BaseRequest):
        return DetectorResult(**when, architecture=request.architecture, scores=scores(request))
    return DetectorResult(
        **when,
        architecture=evolved(request),
        scores=scores(request),
    )


def seen_data(store: Store, request: PrepareRequest, folder: Path) -> dict[str, Any]:
    """What the real one says of the data set; nothing where there is none."""
    location = request.data
    if not annotation_file(location, "train").is_file():
        return {}
    names: dict[Split, list[str]] = {}
    found: dict[str, Any] = {}
    for split in SPLITS:
        content = annotation_file(location, split).read_bytes()
        names[split] = [image["file_name"] for image in json.loads(content)["images"]]
        digest = hashlib.sha256(content).hexdigest()
        images = len(names[split])
        found[split] = SplitSummary(sha256=digest, images=images, boxes=images, empty_images=0)
    path = folder / f"images-{os.getpid()}.json"
    path.write_bytes(canonical_json(list_images(location, names)))
    found["files"] = {"pictures": publish_file(store, request.key, path, "json")}
    path.unlink()
    found["weights"] = sha256_of(Path(request.weights)) if request.weights else ""
    return found


def weights(store: Store, request: Any, folder: Path) -> Any:
    """A file whose content follows from the request."""
    path = folder / f"weights-{os.getpid()}"
    asked = request.model_dump_json(exclude={"data"})
    path.write_bytes(hashlib.sha256(asked.encode()).digest() * 64)
    artifact = publish_file(store, request.key, path, "safetensors")
    path.unlink()
    return artifact


def evolved(request: StudentRequest) -> Architecture:
    """The structural effect; pruning takes a channel from a block's inside."""
    action = request.action
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


def scores(request: BaseRequest | StudentRequest) -> tuple[Score, ...]:
    """Metrics drawn from the job's seed."""
    random = Random(request.seed)
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
        for resolution in request.resolutions
    )


if __name__ == "__main__":
    main()
