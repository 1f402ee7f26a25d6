"""Who can act on a cluster finds the chart's values in the advice, not a shell's variables."""

import re
import ssl
from pathlib import Path

import pytest
import yaml
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, SSLError

from detnas.store.errors import StoreError, StoreRefused, StoreUnavailable
from detnas.store.s3_errors import from_client_error, s3_errors
from detnas_operator.configuration.store_advice import for_a_cluster
from detnas_operator.reconcile.pass_errors import store_reason

VALUES = yaml.safe_load(
    (Path(__file__).parents[3] / "charts/detnas/values.yaml").read_text(encoding="utf-8")
)
URI = "s3://lab/detnas/probe"


def answered(code: str, status: int) -> StoreError:
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return from_client_error(ClientError(response, "PutObject"), URI)


def raised(error: Exception) -> StoreError:
    with pytest.raises(StoreError) as found, s3_errors(URI):
        raise error
    return found.value


def untrusted() -> Exception:
    error = SSLError(endpoint_url="https://s3", error="certificate verify failed")
    error.__cause__ = ssl.SSLCertVerificationError(1, "certificate verify failed")
    return error


REFUSED = {
    "wrong secret": (answered("SignatureDoesNotMatch", 403), "storage.credentials"),
    "unknown key": (answered("InvalidAccessKeyId", 403), "storage.credentials"),
    "no right": (answered("AccessDenied", 403), "storage.credentials"),
    "no keys": (raised(NoCredentialsError()), "storage.credentials"),
    "elsewhere": (answered("PermanentRedirect", 301), "storage.region"),
    "untrusted": (raised(untrusted()), "storage.caBundle"),
    "no conditions": (answered("NotImplemented", 501), "storage.endpoint"),
    "no bucket": (answered("NoSuchBucket", 404), "create it"),
}
AWAY = {
    "unreachable": (raised(EndpointConnectionError(endpoint_url="http://s3")), "storage.endpoint"),
    "failing": (answered("InternalError", 500), "storage.endpoint"),
    "full": (answered("QuotaExceeded", 507), "free space there"),
}


@pytest.mark.parametrize("case", [*REFUSED, *AWAY])
def test_store_advice_names_the_charts_values(case: str) -> None:
    error, says = {**REFUSED, **AWAY}[case]
    told = for_a_cluster(error)
    assert told.problem == error.problem, "what happened stays the same"
    assert says in told.remedy
    assert "AWS_" not in told.remedy
    assert "start again" not in told.remedy, "the operator does, by itself"
    for section, value in re.findall(r"\b(storage)\.(\w+)", told.remedy):
        assert value in VALUES[section]


@pytest.mark.parametrize("case", [*REFUSED, *AWAY])
def test_store_reason_has_the_advice(case: str) -> None:
    error, _ = {**REFUSED, **AWAY}[case]
    trouble = store_reason(error)
    assert trouble.code == ("StoreUnavailable" if case in AWAY else "StoreRefused")
    assert trouble.message == str(for_a_cluster(error))
    assert ("continues by itself" in trouble.message) == (case in AWAY)


def test_store_advice_leaves_errors_of_records_unchanged() -> None:
    error = StoreRefused("a record names 'x'", "restore the record")
    assert for_a_cluster(error) is error
    assert isinstance(for_a_cluster(answered("SlowDown", 503)), StoreUnavailable)
