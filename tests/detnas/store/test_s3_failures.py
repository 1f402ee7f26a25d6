"""What an S3 server, the network or the environment can do to us, with a real server behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.httpsession import URLLib3Session

from detnas.store import Store, open_store
from detnas.store.errors import (
    AlreadyExists,
    CreateOnlyNotHonoured,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    VersionConflict,
)
from detnas.store.s3 import S3Store
from detnas.store.s3_client import client_from_environment
from detnas.store.s3_errors import from_client_error
from detnas.version import own_version
from tests.ports import free_ports
from tests.seaweed import S3Server
from tests.stored import content


@pytest.fixture
def lose_answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lose the answers to the next writes, after the server has carried them out."""
    left = 0
    send = URLLib3Session.send

    def lossy_send(session: URLLib3Session, request: Any) -> Any:
        nonlocal left
        answer = send(session, request)
        if left and request.method == "PUT":
            left -= 1
            raise ConnectionClosedError(endpoint_url=request.url)
        return answer

    def lose(count: int) -> None:
        nonlocal left
        left = count

    monkeypatch.setattr(URLLib3Session, "send", lossy_send)
    return lose


def test_write_whose_answer_was_lost_succeeds(
    s3_store: Store, lose_answers: Callable[[int], None]
) -> None:
    lose_answers(1)
    s3_store.put_if_absent("result.json", b"first")
    stored = s3_store.get("result.json")
    assert stored is not None
    lose_answers(1)
    s3_store.put_if_match("result.json", b"second", stored.version)
    assert content(s3_store, "result.json") == b"second"


def test_lost_answer_does_not_hide_a_conflict(
    s3_store: Store, lose_answers: Callable[[int], None]
) -> None:
    s3_store.put("result.json", b"theirs")
    lose_answers(1)
    with pytest.raises(AlreadyExists):
        s3_store.put_if_absent("result.json", b"ours")
    lose_answers(1)
    with pytest.raises(VersionConflict):
        s3_store.put_if_match("result.json", b"ours", '"0"')


def test_write_without_any_answer_is_unavailable(
    s3_store: Store, lose_answers: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    lose_answers(2)
    with pytest.raises(StoreUnavailable, match="AWS_ENDPOINT_URL"):
        s3_store.put_if_absent("result.json", b"ours")
    s3_store.put_if_absent("result.json", b"ours")  # doing it again finds it done


def changed_client(operation: str, change: Callable[[dict[str, Any]], object]) -> Any:
    """A client whose requests of one kind are changed before they are sent."""
    client = client_from_environment()
    client.meta.events.register(
        f"before-parameter-build.s3.{operation}", lambda params, **_: change(params) and None
    )
    return client


def test_requests_carry_detnas_as_user_agent(s3_environment: S3Server) -> None:
    agents: list[str] = []
    client = client_from_environment()
    client.meta.events.register(
        "before-send.s3.GetObject",
        lambda request, **_: agents.append(str(request.headers["User-Agent"], "ascii")),
    )
    S3Store(s3_environment.bucket, "seen", lambda: client).get("nothing")
    (agent,) = agents
    assert agent.startswith(f"detnas/{own_version()}")


@pytest.mark.parametrize("ignored", ["IfNoneMatch", "IfMatch"])
def test_server_that_ignores_conditions_is_refused(s3_environment: S3Server, ignored: str) -> None:
    def client() -> Any:
        return changed_client("PutObject", lambda params: params.pop(ignored, None))

    store = S3Store(s3_environment.bucket, f"ignores-{ignored}", client)
    for _ in range(2):
        with pytest.raises(CreateOnlyNotHonoured, match="results could be lost"):
            store.probe()


def test_file_system_that_overwrites_is_refused(
    directory_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.link", lambda source, target: Path(target).write_bytes(b"overwritten"))
    with pytest.raises(CreateOnlyNotHonoured, match="results could be lost"):
        directory_store.probe()


def test_list_reads_every_page(s3_environment: S3Server) -> None:
    def client() -> Any:
        return changed_client("ListObjectsV2", lambda params: params.update(MaxKeys=4))

    store = S3Store(s3_environment.bucket, "pages", client)
    keys = [f"{number % 3}/{number:02d}" for number in range(22)]
    for key in keys:
        store.put(key, b"")
    assert list(store.list("")) == sorted(keys)


def refusing_client(answers: list[tuple[str, int]]) -> Any:
    """A client whose first writes the server answers with these codes and statuses."""
    client = client_from_environment()
    put_object = client.put_object

    def refuse_first(**arguments: Any) -> Any:
        if answers:
            code, status = answers.pop(0)
            raise ClientError(
                {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},
                "PutObject",
            )
        return put_object(**arguments)

    client.put_object = refuse_first
    return client


def test_concurrent_write_is_retried(s3_environment: S3Server) -> None:
    answers = [("ConditionalRequestConflict", 409)] * 2
    waits: list[float] = []
    store = S3Store(s3_environment.bucket, "409", lambda: refusing_client(answers), waits.append)
    store.put_if_absent("result.json", b"ours")
    assert len(waits) == 2
    assert content(store, "result.json") == b"ours"
    answers += [("ConditionalRequestConflict", 409)] * 20
    with pytest.raises(StoreUnavailable, match="another process"):
        store.put_if_absent("other.json", b"ours")
    assert max(waits) <= 10


def test_any_concurrent_write_is_unavailable() -> None:
    response = {"Error": {"Code": "OperationAborted"}, "ResponseMetadata": {"HTTPStatusCode": 409}}
    error = from_client_error(ClientError(response, "DeleteObject"), "s3://bucket/key")
    assert isinstance(error, StoreUnavailable)
    assert "try again" in str(error)


@pytest.mark.parametrize(
    ("code", "status", "error", "says"),
    [
        ("XMinioStorageFull", 507, StoreFull, "free space"),
        ("NotImplemented", 501, CreateOnlyNotHonoured, "If-None-Match"),
        ("PermanentRedirect", 301, StoreRefused, "AWS_DEFAULT_REGION"),
        ("RequestTimeTooSkewed", 403, StoreRefused, "clock"),
        ("InternalError", 500, StoreUnavailable, "InternalError"),
        ("AccessDenied", 403, StoreRefused, "access denied"),
    ],
)
def test_server_errors_become_store_errors_with_a_remedy(
    s3_environment: S3Server, code: str, status: int, error: type[Exception], says: str
) -> None:
    store = S3Store(s3_environment.bucket, "says", lambda: refusing_client([(code, status)]))
    with pytest.raises(error, match=f"s3://{s3_environment.bucket}/says.*{says}"):
        store.probe()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("AWS_ACCESS_KEY_ID", "somebody"), ("AWS_SECRET_ACCESS_KEY", "wrong")],
)
def test_wrong_credentials(
    s3_store: Store, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(StoreRefused, match=f"refuses {variable}.*correct {variable}"):
        s3_store.probe()


def test_no_credentials(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreRefused, match="no credentials.*AWS_ACCESS_KEY_ID"):
        s3_store.probe()


@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_MAX_ATTEMPTS"])
def test_wrong_variables(s3_store: Store, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "nonsense")
    with pytest.raises(StoreRefused, match="nonsense.*AWS_PROFILE"):
        s3_store.probe()


def test_no_such_bucket(s3_environment: S3Server) -> None:
    with pytest.raises(StoreRefused, match="s3://nowhere.*bucket does not exist.*create it"):
        open_store("s3://nowhere/experiments").probe()


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:{port}", "not an address"])
def test_wrong_endpoint(
    s3_store: Store, monkeypatch: pytest.MonkeyPatch, endpoint: str, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.format(port=free_ports(1)[0]))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises((StoreUnavailable, StoreRefused), match="AWS_ENDPOINT_URL"):
        s3_store.probe()
    with pytest.raises((StoreUnavailable, StoreRefused), match="AWS_ENDPOINT_URL"):
        s3_store.download_file("a", tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_entire_bucket_may_be_the_root(s3_environment: S3Server) -> None:
    store = open_store(f"s3://{s3_environment.bucket}/")
    assert store.uri == f"s3://{s3_environment.bucket}"
    store.probe()
    store.put("at-the-root.json", b"{}")
    assert "at-the-root.json" in list(store.list(""))
    store.delete("at-the-root.json")
