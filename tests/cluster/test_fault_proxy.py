"""The proxy forwards everything unchanged, and injects the faults of its rule."""

import contextlib
import threading
import uuid
from collections.abc import Iterator

import pytest
import urllib3

from tests.cluster.api import Api, ApiError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.faults import (
    Interrupt,
    LoseAnswer,
    Refuse,
    at_first_of_every_write,
    at_write,
)
from tests.cluster.waiting import eventually
from tests.seaweed import NO_RETRIES, S3Server

SETTINGS = "api/v1/configmaps"


def setting(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[FaultProxy]:
    with FaultProxy(cluster.api.server, cluster.api.ca) as running:
        yield running


@pytest.fixture
def api(proxy: FaultProxy, cluster: ControlPlane) -> Api:
    """The administrator, through the proxy."""
    return Api(proxy.url, cluster.api.token)


def names(api: Api, namespace: str) -> set[str]:
    return {one["metadata"]["name"] for one in api.list(SETTINGS, namespace)} - {"kube-root-ca.crt"}


def test_fault_proxy_forwards_and_records_calls(
    proxy: FaultProxy, api: Api, namespace: str
) -> None:
    api.create(setting("one"), namespace)
    api.patch(SETTINGS, namespace, "one", {"data": {"a": "b"}})
    assert api.get(SETTINGS, namespace, "one")["data"] == {"a": "b"}
    writes = proxy.journal.writes()
    assert [(call.method, call.status, call.number) for call in writes] == [
        ("POST", 201, 1),
        ("PATCH", 200, 2),
    ]
    assert len(proxy.journal.calls) == 3


def test_fault_proxy_streams_a_watch(api: Api, cluster: ControlPlane, namespace: str) -> None:
    cluster.api.create(setting("one"), namespace)
    seen = names_watched(api, namespace)
    assert "one" in seen
    cluster.api.create(setting("two"), namespace)
    assert "two" in seen  # long before the server ends the watch


@pytest.mark.parametrize("status", [409, 429, 500])
def test_fault_proxy_refuses_the_nth_write(
    proxy: FaultProxy, api: Api, namespace: str, status: int
) -> None:
    proxy.journal.rule = at_write(2, Refuse(status))
    api.create(setting("one"), namespace)
    with pytest.raises(ApiError) as refused:
        api.create(setting("two"), namespace)
    assert refused.value.status == status
    api.create(setting("three"), namespace)
    assert names(api, namespace) == {"one", "three"}


def test_fault_proxy_loses_an_answer_after_success(
    proxy: FaultProxy, api: Api, namespace: str
) -> None:
    proxy.journal.rule = at_first_of_every_write(LoseAnswer())
    with pytest.raises(urllib3.exceptions.HTTPError):
        api.create(setting("one"), namespace)
    with pytest.raises(ApiError, match="AlreadyExists"):
        api.create(setting("one"), namespace)
    assert len(proxy.journal.faulted()) == 1


def test_fault_proxy_fails_the_first_try_of_every_write(
    proxy: FaultProxy, api: Api, namespace: str
) -> None:
    proxy.journal.rule = at_first_of_every_write(Refuse(500))
    for name in ("one", "two"):
        with pytest.raises(ApiError, match="500"):
            api.create(setting(name), namespace)
        api.create(setting(name), namespace)
    assert names(api, namespace) == {"one", "two"}


def test_fault_proxy_interrupts_a_caller_after_its_write(
    proxy: FaultProxy, api: Api, namespace: str
) -> None:
    interrupted: list[str] = []
    proxy.journal.rule = at_write(1, Interrupt(lambda: interrupted.append("killed")))
    with pytest.raises(urllib3.exceptions.HTTPError):
        api.create(setting("one"), namespace)
    assert interrupted == ["killed"]
    assert names(api, namespace) == {"one"}


def test_fault_proxy_silences_watches(
    proxy: FaultProxy, api: Api, cluster: ControlPlane, namespace: str
) -> None:
    proxy.silence_watches()
    heard: list[str] = []

    def listen() -> None:
        with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
            heard.extend(names_watched(api, namespace))

    threading.Thread(target=listen, daemon=True).start()
    cluster.api.create(setting("unheard"), namespace)
    eventually(lambda: proxy.held)
    proxy.let_watches_speak()
    cluster.api.create(setting("also-unheard"), namespace)
    assert "also-unheard" in names_watched(api, namespace)
    assert heard == []


def names_watched(api: Api, namespace: str) -> Iterator[str]:
    return (event["object"]["metadata"]["name"] for event in api.watch(SETTINGS, namespace))


def test_fault_proxy_goes_down_and_comes_up(proxy: FaultProxy, api: Api, namespace: str) -> None:
    api.create(setting("one"), namespace)
    events = api.watch(SETTINGS, namespace)
    next(events)
    proxy.go_down()
    with pytest.raises(urllib3.exceptions.HTTPError):
        api.create(setting("two"), namespace)
    with pytest.raises(urllib3.exceptions.HTTPError):
        list(events)
    proxy.come_up()
    api.create(setting("three"), namespace)
    assert names(api, namespace) == {"one", "three"}


def test_fault_proxy_serves_s3_with_a_shared_journal(
    proxy: FaultProxy, api: Api, namespace: str, s3_server: S3Server
) -> None:
    with FaultProxy(s3_server.endpoint, name="s3", journal=proxy.journal) as s3_proxy:
        client = s3_server.client(s3_proxy.url, retries=NO_RETRIES)
        key = f"{uuid.uuid4().hex}/a file=é+.txt"
        place = {"Bucket": s3_server.bucket, "Key": key}
        client.put_object(**place, Body=b"content" * 100_000, IfNoneMatch="*")
        api.create(setting("one"), namespace)
        assert client.get_object(**place)["Body"].read() == b"content" * 100_000
        assert client.head_object(**place)["ContentLength"] == 700_000
        assert client.list_objects_v2(Bucket=s3_server.bucket, Prefix=key)["KeyCount"] == 1
        with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
            client.put_object(**place, Body=b"other", IfNoneMatch="*")
        assert [call.server for call in proxy.journal.writes()] == ["s3", "api", "s3"]
        proxy.journal.rule = at_write(4, Refuse(429))
        with pytest.raises(client.exceptions.ClientError, match="SlowDown"):
            client.delete_object(**place)
        client.delete_objects(Bucket=s3_server.bucket, Delete={"Objects": [{"Key": key}]})
        assert client.list_objects_v2(Bucket=s3_server.bucket, Prefix=key)["KeyCount"] == 0
    assert [call.status for call in proxy.journal.writes("s3")] == [200, 412, 429, 200]
