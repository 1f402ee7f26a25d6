"""Files of one detector in all formats and precisions: seconds, latency and mAP of each.

    python -m bench.training.export SEARCH [--threads 2]

SEARCH is the folder of a finished search, such as the digits example's. Its exported detector is
exported again in every format, into a folder that is deleted; what is printed is the time of it all
(the target is 90 s on 2 cores), and of each file its mAP less PyTorch's and its latency over
PyTorch's, which mmdet's detector has on the same machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from detnas.lifecycle.later_exports import ExportChoice, later_exports
from detnas.records import keys
from detnas.records.exports import ExportFormat, ExportSettings, FilePrecision
from detnas.records.results import ExportResult
from detnas.runner.opening import reopen_search
from detnas.store import open_store
from detnas.store.artifacts import create_record, fetch_artifact, load_record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("search")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    settings = ExportSettings(formats=tuple(ExportFormat), precisions=tuple(FilePrecision))
    search = reopen_search(options.search)
    (export,) = later_exports(search, ExportChoice(), settings)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store((Path(folder) / "store").as_uri())
        for artifact in (export.request.weights, export.request.base_weights):
            store.upload_file(artifact.key, fetch_artifact(search.store, artifact))
        listing = export.request.image_listing
        if listing is not None:
            store.upload_file(listing.key, fetch_artifact(search.store, listing))
        key = export.request.key
        create_record(store, keys.request_key(key), export.request)
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "detnas_trainer.cli", "export", f"{store.uri}/{key}"],
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
        )
        seconds = time.perf_counter() - started
        result = load_record(store, keys.result_key(key), ExportResult)
    assert result is not None
    show(result, seconds, options.threads)


def show(result: ExportResult, seconds: float, threads: int) -> None:
    assert result.student_latency is not None
    torch_ms, size = result.student_latency.milliseconds, result.student_latency.resolution
    print(f"all formats of one detector: {seconds:.1f} s with {threads} threads")
    print(", ".join(f"{name} {spent:.1f} s" for name, spent in result.seconds.items()))
    print(f"PyTorch (mmdet): mAP {result.map:.4f}, {torch_ms:.1f} ms at {size}")
    for file in result.exported[1:]:
        if file.map is None or file.latency is None:
            print(f"{file.path:24} not measured: {file.remark}")
            continue
        ratio = file.latency.median / torch_ms
        print(
            f"{file.path:24} {file.bytes / 1e6:7.2f} MB  mAP {file.map - result.map:+.4f}  "
            f"{file.latency.median:7.1f} ms, {ratio:.2f} of PyTorch's  {file.remark}"
        )
    if result.message:
        print(result.message)


if __name__ == "__main__":
    main()
