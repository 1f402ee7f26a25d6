"""What the second of two jobs downloads from S3, with a data cache and without: GETs, seconds.

    python -m bench.data_cache [--images 2000] [--kilobytes 100]

Real S3 server. Two jobs, each on a node of its own, bring a data set of noise to where they read
it, and compare it with what the search was prepared with. Requests for the data set are counted on
their way to the server.
"""

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

from detnas.architecture import parse
from detnas.data_identity import list_images
from detnas.records.requests import BaseRequest
from detnas.records.settings import DataLocation, DetectorShape, Resolution, Split, Training
from detnas.store import open_store
from detnas.store.artifacts import create_record, publish_file
from detnas.store.durable_files import sha256_of
from detnas.store.record_format import encode_record
from detnas_trainer.jobs import data_set
from detnas_trainer.jobs.folder import open_folder
from detnas_trainer.jobs.job import opened_job
from tests.cluster.fault_proxy import FaultProxy
from tests.seaweed import running_server

CACHED, NOT_CACHED = "with a cache", "without"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--kilobytes", type=int, default=100, help="of each image")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_server(folder / "s3") as server, FaultProxy(server.endpoint, name="s3") as s3:
            os.environ.update(server.environment() | {"AWS_ENDPOINT_URL": s3.url})
            os.environ["DETNAS_DATA_CACHE_BYTES"] = str(1 << 40)
            local = write_data(folder / "data", arguments.images, arguments.kilobytes << 10)
            uri = upload(local, f"s3://{server.bucket}")
            for way in (NOT_CACHED, CACHED):
                os.environ["DETNAS_DATA_CACHE"] = str(folder / "kept") if way == CACHED else ""
                for job in ("first", "second"):
                    os.environ["DETNAS_CACHE"] = str(folder / f"{way} {job}")
                    print(json.dumps({"job": job, "way": way, **measured(uri, s3)}), flush=True)


def write_data(folder: Path, images: int, size: int) -> DataLocation:
    """Write a data set whose images are noise: nothing here looks into them."""
    for split, count in (("train", images), ("val", images // 20)):
        names = [f"{number:06d}.jpg" for number in range(count)]
        (folder / split).mkdir(parents=True)
        for name in names:
            (folder / split / name).write_bytes(os.urandom(size))
        listed = [{"id": number, "file_name": name} for number, name in enumerate(names)]
        document = {"images": listed, "annotations": [], "categories": []}
        (folder / f"{split}.json").write_text(json.dumps(document), encoding="utf-8")
    return DataLocation(
        root=str(folder),
        train="train.json",
        val="val.json",
        train_images="train",
        val_images="val",
    )


def upload(data: DataLocation, bucket: str) -> str:
    """Bring the data set into S3, with the request of a job that reads it; return its URI."""
    root, folder = Path(data.root), open_store(f"{bucket}/data")
    for path in root.rglob("*.*"):
        folder.put(path.relative_to(root).as_posix(), path.read_bytes())
    splits: tuple[Split, ...] = ("train", "val")
    names = {split: [path.name for path in (root / split).iterdir()] for split in splits}
    listing = root / "pictures.json"
    listing.write_bytes(encode_record(list_images(data, names)))
    store, key = open_store(f"{bucket}/store"), "local/searches/a-12345678/base"
    request = BaseRequest(
        key=key,
        data=data.model_copy(update={"root": f"{bucket}/data"}),
        annotations=tuple(sha256_of(root / f"{split}.json") for split in names),
        image_listing=publish_file(store, key, listing, "json"),
        seed=0,
        classes=("thing",),
        detector=DetectorShape(),
        resolutions=(Resolution(width=64, height=64),),
        training=Training(epochs=1, learning_rate=Decimal("0.01"), batch_size=1),
        architecture=parse("[(8, 8)], [(8, 12)], [(8, 12)], [(8, 16)]", stem=8),
    )
    create_record(store, f"{key}/request.json", request)
    return f"{store.uri}/{key}"


def measured(uri: str, s3: FaultProxy) -> dict[str, float]:
    """Bring the data set as a job does; return seconds, and requests for it by their method."""
    before = len(s3.journal.calls)
    with opened_job(open_folder("base", uri)) as job:
        start = time.perf_counter()
        data_set.fetch_prepared_data(job)
        seconds = time.perf_counter() - start
    calls = [call for call in s3.journal.calls[before:] if "/data/" in call.path]
    return {"seconds": round(seconds, 2), **Counter(call.method for call in calls)}


if __name__ == "__main__":
    main()
