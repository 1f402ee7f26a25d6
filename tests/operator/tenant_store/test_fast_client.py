"""obstore before boto3: what is faster, and that nothing else differs."""

from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from obstore.store import S3Store as ObjectStore

from detnas.store.errors import AlreadyExists, StoreError, VersionConflict
from detnas.store.in_parallel import in_parallel
from detnas.store.s3 import ReadLimits, S3Store
from detnas.store.s3_client import Patience, client_from_environment, make_client
from detnas_operator.tenant_store.fast_client import FastClient, fast_client_from_environment
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.faults import LoseAnswer, Refuse
from tests.ports import free_ports
from tests.seaweed import REGION, S3Server
from tests.stored import content

PATIENCE = Patience(connect=2, read=5, attempts=2)


def fast_client(patience: Patience = PATIENCE) -> Any:
    return fast_client_from_environment(patience, 4)


def requests_of_boto3(client: Any) -> list[str]:
    """What boto3 sends from now on."""
    sent: list[str] = []
    client.meta.events.register(
        "before-send.s3", lambda request, **_: sent.append(f"{request.method} {request.url}")
    )
    return sent


def test_single_objects_are_read_and_written_without_boto3(s3_environment: S3Server) -> None:
    client = fast_client()
    sent = requests_of_boto3(client)
    store = S3Store(s3_environment.bucket, "fast/one", lambda: client)
    assert store.get("a/b.json") is None
    assert store.size("a/b.json") is None
    store.put("a/b.json", b"1")
    store.put_if_absent("a/c.json", b"first")
    stored = store.get("a/c.json")
    assert stored is not None
    store.put_if_match("a/c.json", b"second", stored.version)
    assert store.size("a/c.json") == 6
    assert content(store, "a/b.json") == b"1"
    assert list(store.list("a/")) == ["a/b.json", "a/c.json"]
    assert list(store.list("b/")) == []
    assert sent == []
    by_boto3 = S3Store(s3_environment.bucket, "fast/one")
    assert by_boto3.get("a/c.json") == store.get("a/c.json")


def test_conditional_writes_keep_what_is_there(s3_environment: S3Server) -> None:
    client = fast_client()
    store = S3Store(s3_environment.bucket, "fast/conditions", lambda: client)
    store.put_if_absent("a", b"first")
    store.put_if_absent("a", b"first")  # its answer was lost: success
    with pytest.raises(AlreadyExists):
        store.put_if_absent("a", b"other")
    stored = store.get("a")
    assert stored is not None
    store.put_if_match("a", b"second", stored.version)
    for data in (b"third", b"first"):
        with pytest.raises(VersionConflict):
            store.put_if_match("a", data, stored.version)
    with pytest.raises(VersionConflict):
        store.put_if_match("absent", b"third", stored.version)
    assert content(store, "a") == b"second"
    store.probe()


def test_any_key_names_the_same_object_as_for_boto3(s3_environment: S3Server) -> None:
    store = S3Store(s3_environment.bucket, "fast/keys", fast_client)
    by_boto3 = S3Store(s3_environment.bucket, "fast/keys")
    for key in ("é/ü ö+%.txt", "a b", "a=b", "a%20b", "plain.json", "-_/0"):
        store.put(key, key.encode())
        assert content(by_boto3, key) == key.encode()
        assert content(store, key) == key.encode()


def test_lists_are_those_of_boto3(s3_environment: S3Server) -> None:
    store = S3Store(s3_environment.bucket, "fast/lists", fast_client)
    by_boto3 = S3Store(s3_environment.bucket, "fast/lists")
    keys = {"a": ["é/ü ö+%.txt", "a%20b", "a b"], "b": ["b", "b/c"], "c": [], "d": ["empty"]}
    for folder, names in keys.items():
        for name in names:
            by_boto3.put(f"{folder}/{name}", b"" if name == "empty" else b"1")
    client = client_from_environment(PATIENCE)
    client.put_object(Bucket=s3_environment.bucket, Key="fast/lists/e/marked/", Body=b"")
    for folder in (*keys, "e"):
        assert list(store.list(f"{folder}/")) == list(by_boto3.list(f"{folder}/"))
        assert list(store.folders(f"{folder}/")) == list(by_boto3.folders(f"{folder}/"))
        assert store.delete_some(f"{folder}/") == len([*keys.get(folder, "m")])
        assert not list(by_boto3.list(f"{folder}/"))


def test_long_list_is_complete(s3_environment: S3Server) -> None:
    store = S3Store(s3_environment.bucket, "fast/long", fast_client)
    names = [f"a/{number:04d}" for number in range(1001)]
    in_parallel(lambda name: store.put(name, b"1"), names)
    assert list(store.list("a/")) == names


def test_object_above_the_limit_is_not_received(s3_environment: S3Server) -> None:
    S3Store(s3_environment.bucket, "fast/large").put("a", b"x" * 1001)
    limits = ReadLimits(largest=lambda _key: 1000)
    client = fast_client()
    store = S3Store(s3_environment.bucket, "fast/large", lambda: client, limits=limits)
    with pytest.raises(StoreError, match="1001 bytes"):
        store.get("a")
    store.put("b", b"1")
    assert content(store, "b") == b"1"


def error_of(make_client: Callable[[], Any], bucket: str) -> str:
    with pytest.raises(StoreError) as raised:
        S3Store(bucket, "fast/errors", make_client).put("a", b"1")
    return f"{type(raised.value).__name__} {raised.value}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"AWS_ACCESS_KEY_ID": "somebody"},
        {"AWS_SECRET_ACCESS_KEY": "wrong"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:{closed}"},
        {"bucket": "nowhere"},
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_errors_are_those_of_boto3(
    s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    bucket = wrong.get("bucket", s3_environment.bucket)
    for name, value in wrong.items():
        monkeypatch.setenv(name, value.format(closed=free_ports(1)[0]))
    expected = error_of(lambda: client_from_environment(PATIENCE), bucket)
    assert error_of(fast_client, bucket) == expected


def test_absent_bucket_is_not_taken_for_an_absent_object(s3_environment: S3Server) -> None:
    with pytest.raises(StoreError, match="bucket does not exist"):
        S3Store("nowhere", "fast/errors", fast_client).get("a")


@pytest.mark.parametrize("fault", [Refuse(503), Refuse(429), Refuse(500), LoseAnswer()])
def test_request_that_fails_is_repeated_by_boto3(
    s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch, fault: Refuse | LoseAnswer
) -> None:
    with FaultProxy(s3_environment.endpoint, name="s3") as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        key = f"fast/faults/{fault!r}".encode().hex()
        store = S3Store(s3_environment.bucket, key, fast_client)
        faults = [fault]
        proxy.journal.rule = lambda call: faults.pop() if faults else None
        store.put_if_absent("a", b"first")
        faults.append(fault)
        stored = store.get("a")
        assert stored is not None
        assert stored.data == b"first"
        faults.append(fault)
        store.put_if_match("a", b"second", stored.version)
        faults.append(fault)
        assert store.size("a") == 6
        assert not faults


def test_boto3_alone_is_asked_for_a_while_after_failures(s3_environment: S3Server) -> None:
    unreachable = ObjectStore(
        s3_environment.bucket,
        endpoint=f"http://127.0.0.1:{free_ports(1)[0]}",
        region=REGION,
        access_key_id="key",
        secret_access_key="secret",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    asked: list[str] = []
    now = [0.0]

    def store_of(bucket: str) -> ObjectStore:
        asked.append(bucket)
        return unreachable

    boto3 = make_client(botocore.session.get_session(), PATIENCE, 4)
    client = FastClient(boto3, store_of, lambda: now[0])
    store = S3Store(s3_environment.bucket, "fast/failures", lambda: client)
    store.put("a", b"1")
    for _ in range(10):
        assert content(store, "a") == b"1"
    assert len(asked) == 5
    now[0] = 61
    assert content(store, "a") == b"1"
    assert len(asked) == 6
