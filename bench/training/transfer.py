"""Upload and download of weights, against boto3's CRT client on the same file and server.

    python -m bench.training.transfer [--megabytes 200] [--rounds 5]

Real S3 server on the same machine; both take turns. Printed are medians of the rounds, in MB/s, and
the median ratio of ours to the CRT client's within a round. Aim: at least 0.9.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import botocore.session
from botocore.config import Config
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)

from detnas.store.s3 import S3Store
from detnas.store.s3_client import client_from_environment
from tests.seaweed import REGION, S3Server, running_server

Transfer = Callable[[], None]


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, running_server(Path(folder)) as s3:
        os.environ.update(s3.environment())
        kinds = transfers(Path(folder), s3, arguments.megabytes)
        rounds = []
        for number in range(-1, arguments.rounds):  # the first one is not counted
            found = {name: arguments.megabytes / _seconds(work) for name, work in kinds.items()}
            if number >= 0:
                rounds.append(found)
        received = [Path(folder, name).read_bytes() for name in ("weights", "ours", "crt")]
    assert received[0] == received[1] == received[2], "what was downloaded is not what was uploaded"
    for name in kinds:
        print(f"{name:<14} {median(found[name] for found in rounds):8.0f} MB/s")
    for verb in ("upload", "download"):
        ratio = median(found[f"{verb}, ours"] / found[f"{verb}, CRT"] for found in rounds)
        print(f"{verb}: ours over CRT {ratio:.2f} (aim: at least 0.9)")


def transfers(folder: Path, s3: S3Server, megabytes: int) -> dict[str, Transfer]:
    """What is timed, by name, in turns; each downloads what it has uploaded before."""
    client = client_from_environment()
    store, crt = S3Store(s3.bucket, "bench", lambda: client), crt_client(s3.endpoint)
    weights = folder / "weights"
    weights.write_bytes(os.urandom(megabytes * 10**6))
    return {
        "upload, ours": lambda: store.upload_file("ours", weights),
        "upload, CRT": lambda: crt.upload(str(weights), s3.bucket, "bench/crt").result(),
        "download, ours": lambda: store.download_file("ours", folder / "ours"),
        "download, CRT": lambda: crt.download(s3.bucket, "bench/crt", str(folder / "crt")).result(),
    }


def crt_client(endpoint: str) -> CRTTransferManager:
    """What boto3 makes for `preferred_transfer_client="crt"`, but without TLS."""
    session = botocore.session.get_session()
    credentials = BotocoreCRTCredentialsWrapper(session.get_credentials())
    client = create_s3_crt_client(
        region=REGION,
        crt_credentials_provider=credentials.to_crt_credentials_provider(),
        use_ssl=False,
    )
    settings = {
        "region_name": REGION,
        "endpoint_url": endpoint,
        "config": Config(s3={"addressing_style": "path"}),
    }
    return CRTTransferManager(client, BotocoreCRTRequestSerializer(session, settings))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def _seconds(work: Transfer) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
