"""`detnas report`: finds the search, writes where it is told, and says what to do otherwise."""

import builtins
import json
import sys

import pytest
import yaml

from detnas.cli import main
from detnas.plan.digests import local_uid
from tests.detnas.report.search_in_store import finished_search, manifest


@pytest.fixture
def detnas(monkeypatch, capsys):
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["detnas", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


@pytest.fixture
def search(tmp_path):
    return finished_search(tmp_path, 6)


def test_report_is_stored_beside_the_search(detnas, search):
    code, out, _ = detnas("report", search.folder)
    page = search.folder / "report" / "index.html"
    assert code == 0
    assert str(page) in out
    assert "All trials" in page.read_text(encoding="utf-8")


def test_report_of_a_uri_is_written_to_a_file(detnas, search, tmp_path):
    target = tmp_path / "page.html"
    uri = f"{search.store.uri}/{search.requests.search}"
    code, out, _ = detnas("report", uri, "--to", target, "-o", "json")
    assert code == 0
    assert json.loads(out) == {"report": str(target), "search": uri}
    assert target.is_file()
    assert not (search.folder / "report").exists()


def test_report_finds_a_search_by_its_manifest(detnas, tmp_path):
    told = manifest(6)
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump(told.model_dump(mode="json", by_alias=True, exclude_none=True)))
    store = tmp_path / "store"
    code, _, err = detnas("report", path, "--store", store)
    assert code == 2
    assert "has not started" in err
    assert "detnas run" in err
    search = finished_search(tmp_path, 6, uid=local_uid(told))
    code, out, _ = detnas("report", path, "--store", store)
    assert code == 0
    assert str(search.folder / "report" / "index.html") in out


def test_report_does_not_overwrite_another_file(detnas, search, tmp_path):
    target = tmp_path / "search.yaml"
    target.write_text("mine")
    code, _, err = detnas("report", search.folder, "--to", target)
    assert code == 2
    assert "does not end in .html" in err
    assert target.read_text() == "mine"


def test_report_of_a_folder_without_search_is_refused(detnas, tmp_path):
    code, _, err = detnas("report", tmp_path)
    assert code == 2
    assert "holds no search" in err


@pytest.mark.parametrize("package", ["plotly", "jinja2"])
def test_report_without_its_extra_names_the_command(detnas, search, monkeypatch, package):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *arguments, **options)

    for name in [n for n in sys.modules if n.startswith("detnas.report.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    code, _, err = detnas("report", search.folder)
    assert code == 2
    assert "detnas[report]" in err
    assert package in err
