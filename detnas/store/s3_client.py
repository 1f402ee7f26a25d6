"""The client of an S3 server, from the environment: endpoint, region and credentials."""

import os
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from detnas.store.errors import StoreRefused
from detnas.store.in_parallel import CONCURRENT_REQUESTS
from detnas.version import own_version

Client = Any
"""boto3 makes its clients' classes at run time: there is no type to name."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits for a server.

    Attributes:
        connect: seconds for a connection.
        read: seconds without a byte of the answer.
        attempts: at a request, unless ``AWS_MAX_ATTEMPTS`` says otherwise.
    """

    connect: float = 10
    read: float = 60
    attempts: int = 6


def client_from_environment(
    patience: Patience = Patience(), connections: int = CONCURRENT_REQUESTS
) -> Client:
    """Return an S3 client for the endpoint, region and credentials of the ``AWS_*`` variables.

    Requests are retried after transient failures (lost connections, throttling, server errors).

    Args:
        patience: of each request.
        connections: that are kept; by default as many as threads fetch a data set.

    Raises:
        StoreRefused: a variable's value cannot be used.
    """
    return make_client(botocore.session.get_session(), patience, connections)


def make_client(session: Session, patience: Patience, connections: int) -> Client:
    """Return the same client, whose credentials are the session's."""
    own_endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    retries: dict[str, str | int] = {"mode": os.environ.get("AWS_RETRY_MODE") or "standard"}
    if not os.environ.get("AWS_MAX_ATTEMPTS"):
        retries["total_max_attempts"] = patience.attempts
    config = Config(
        retries=retries,
        connect_timeout=patience.connect,
        read_timeout=patience.read,
        max_pool_connections=connections,
        # Other servers than AWS's rarely answer to a bucket's own host name,
        # and not all of them know the trailing checksums.
        s3={"addressing_style": "path" if own_endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # These two, and dates, would take a third of a small request's time: a name built again
        # for each, and a check of arguments that have types here.
        user_agent=f"detnas/{own_version()}",
        parameter_validation=False,
    )
    try:
        answers = session.get_component("response_parser_factory")
        answers.set_parser_defaults(timestamp_parser=str)  # dates are not read: they stay texts
        made = boto3.Session(botocore_session=session)
        return made.client("s3", region_name=made.region_name or "us-east-1", config=config)
    except (BotoCoreError, ValueError) as error:
        problem = f"the AWS_* variables make no S3 client ({error})"
        raise StoreRefused(problem, "correct AWS_ENDPOINT_URL, AWS_PROFILE or others") from error
