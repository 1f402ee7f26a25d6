"""`detnas push` before a Hub that is played: what it lists, uploads, and refuses."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from detnas.store import open_store
from tests.detnas.cli.commands import run
from tests.detnas.searches.in_process import Scheduler, tiny

DETNAS = [sys.executable, "-c", "from detnas.cli import main; main()", "push"]
CARD = "---\nlicense: apache-2.0\ntags:\n- detnas\n---\n\n# A detector\n"
REPOSITORY = "my-team/digits"


class Hub(ThreadingHTTPServer):
    """Takes small files into one repository; `refuses` is the status of every answer but 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refuses = 0
        self.created: list[dict[str, Any]] = []
        self.commits: list[list[dict[str, Any]]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def files(self) -> list[str]:
        """Names of the last commit's files."""
        lines = self.commits[-1]
        return [line["value"]["path"] for line in lines if line["key"] == "file"]


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        if self.server.refuses:
            return self._answer({"error": "no"}, self.server.refuses)
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            return self._answer({"url": f"{self.server.address}/{REPOSITORY}"})
        if self.path.startswith(f"/api/models/{REPOSITORY}/preupload/"):
            asked = json.loads(body)["files"]
            chosen = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in asked
            ]
            return self._answer({"files": chosen})
        if self.path.startswith(f"/api/models/{REPOSITORY}/commit/"):
            self.server.commits.append([json.loads(line) for line in body.splitlines()])
            url = f"{self.server.address}/{REPOSITORY}/commit/1"
            return self._answer({"commitUrl": url, "commitOid": "1"})
        if self.path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        return self._answer({"error": f"not played: {self.path}"}, 404)

    def _answer(self, content: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An exported folder as it lies in a store, with the job's own records."""
    exported = tmp_path / "best"
    (exported / "attempts" / "1").mkdir(parents=True)
    records = ("request.json", "result.json", "failed-20261130T000000.000000.json")
    for name in (*records, "detector.pth", "detector.py"):
        (exported / name).write_text(name * 50)
    (exported / "README.md").write_text(CARD)
    return exported


def push(hub: Hub | None, *words: str | Path) -> tuple[int, str, str]:
    address = hub.address if hub else "http://127.0.0.1:9"
    environment = {"HF_ENDPOINT": address, "HF_TOKEN": "hf_test", "HF_HUB_OFFLINE": "0"}
    done = run([*DETNAS, *map(str, words)], env=environment)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_folder_is_uploaded_in_one_commit_without_the_jobs_records(hub: Hub, folder: Path) -> None:
    code, said, errors = push(hub, folder, REPOSITORY, "--private")
    assert code == 0, errors
    assert f"uploaded: {hub.address}/{REPOSITORY}" in said
    assert sorted(hub.files) == ["README.md", "detector.pth", "detector.py"]
    assert len(hub.commits) == 1
    created = hub.created[0]
    assert (created["name"], created["organization"]) == ("digits", "my-team")
    assert created.get("private") is True or created.get("visibility") == "private"


def test_dry_run_lists_files_with_sizes_and_needs_no_network(folder: Path) -> None:
    code, said, _ = push(None, folder, REPOSITORY, "--dry-run", "-o", "json")
    listed = json.loads(said)
    assert (code, listed["url"]) == (0, None)
    assert listed["files"] == {
        name: (folder / name).stat().st_size
        for name in ("README.md", "detector.pth", "detector.py")
    }
    code, said, _ = push(None, folder, REPOSITORY, "--dry-run")
    assert code == 0
    assert "dry run: nothing was uploaded" in said
    assert "detector.pth" in said


@pytest.mark.parametrize(
    ("status", "said"), [(401, "hf auth login"), (403, "HF_TOKEN"), (422, "repeat the command")]
)
def test_refusal_of_the_hub_is_explained(hub: Hub, folder: Path, status: int, said: str) -> None:
    hub.refuses = status
    code, _, errors = push(hub, folder, REPOSITORY)
    assert code == 2
    assert said in errors
    assert "Traceback" not in errors
    assert not hub.commits


def test_search_whose_export_has_no_card_is_refused(tmp_path: Path) -> None:
    search = tiny(open_store((tmp_path / "store").as_uri()), "one", trials=1)
    Scheduler(tmp_path).run(search)
    code, _, errors = push(None, search.uri, REPOSITORY, "--dry-run")
    assert code == 2
    assert "there is no README.md, which is the model card" in errors


def test_hub_that_does_not_answer_is_named_with_what_to_do(folder: Path) -> None:
    code, _, errors = push(None, folder, REPOSITORY)
    assert code == 2
    assert f"{REPOSITORY} cannot be uploaded" in errors
    assert "repeat the command" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("name", ["digits", "my team/digits", "a/b/c", "a/-b", "a/b..c"])
def test_name_that_no_repository_has_is_refused_before_anything_is_sent(
    folder: Path, name: str
) -> None:
    code, _, errors = push(None, folder, name)
    assert code == 2
    assert "write owner/name" in errors


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("# A detector\n", "has no front matter"),
        ("---\n- a\n- b\n---\n\n# A detector\n", "cannot be read"),
        ("---\na: [\n---\n\n# A detector\n", "cannot be read"),
    ],
)
def test_card_that_the_hub_cannot_read_is_refused(folder: Path, card: str, said: str) -> None:
    (folder / "README.md").write_text(card)
    code, _, errors = push(None, folder, REPOSITORY, "--dry-run")
    assert code == 2
    assert said in errors
