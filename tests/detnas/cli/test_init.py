"""`detnas init`: a data set becomes a manifest that is valid, and nothing is overwritten."""

import json
import sys

import pytest
import yaml

from detnas.architecture import parse
from detnas.cli import main
from detnas.records.look import LookAnswer, LookRequest, TimedStep
from detnas.records.settings import DetectorShape
from detnas.runner.errors import RunError
from detnas.runner.trainer_look import ask_trainer
from tests.detnas.own_data.data_sets import draw, make_coco, make_yolo
from tests.detnas.searches.local_run import LocalSearch, QuietWatcher
from tests.e2e.data_sets import bccd_folder

THREE = {"train": 16, "val": 5, "test": 5}


@pytest.fixture
def detnas(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr("sys.argv", ["detnas", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def pets(tmp_path):
    return make_coco(tmp_path / "pets", THREE)


def test_the_manifest_is_valid_and_reaches_the_data(tmp_path, detnas, pets):
    to = tmp_path / "searches" / "first.yaml"
    code, out, _ = detnas("init", pets, "--to", to, "--no-check")
    assert code == 0
    assert "16 images, 32 boxes" in out
    assert detnas("validate", to)[0] == 0
    document = yaml.safe_load(to.read_text())
    assert document["metadata"]["name"] == "pets"
    assert document["spec"]["dataset"]["source"] == {"directory": "../pets"}
    assert json.loads((to.parent / "detnas.schema.json").read_bytes())["title"] == "DetNASSearch"


def test_a_yolo_folder_becomes_a_valid_manifest(tmp_path, detnas):
    root = make_yolo(tmp_path / "pets", {"train": 16, "val": 5})
    to = tmp_path / "search.yaml"
    code, out, _ = detnas("init", root, "--to", to, "--no-check", "--hours", "1")
    assert code == 0
    assert out.startswith("YOLO: ")
    assert detnas("validate", to)[0] == 0
    dataset = yaml.safe_load(to.read_text())["spec"]["dataset"]
    assert (dataset["train"], dataset["trainImages"]) == ("pets-coco/train.json", "pets")


def test_labels_without_their_image_are_reported(tmp_path, detnas):
    root = make_yolo(tmp_path / "pets", THREE)
    (root / "images" / "val" / "val000.png").unlink()
    _, out, _ = detnas("init", root, "--to", tmp_path / "search.yaml", "--no-check")
    assert "files of labels whose image is missing: 1, first" in out
    assert "val000.txt" in out


@pytest.mark.parametrize("make", [make_coco, make_yolo])
def test_the_search_runs_to_its_end_as_it_was_written(tmp_path, detnas, make):
    data = make(tmp_path / "pets", THREE)
    search = LocalSearch(tmp_path / "run", name="pets")
    to = tmp_path / "run" / "search.yaml"
    words = ["--to", to, "--no-check", "--force", "--hours", "0.05"]
    assert detnas("init", data, *words)[0] == 0
    state = search.run_here(QuietWatcher())
    wanted = yaml.safe_load(to.read_text())["spec"]["search"]["trials"]
    assert state.trials == wanted >= 12
    assert (search.search / "students" / "best").is_dir()


@pytest.mark.skipif(
    not bccd_folder().is_dir(), reason="no photographs of blood cells (DETNAS_BCCD)"
)
def test_photographs_of_blood_cells_get_a_manifest_without_changing(tmp_path, detnas):
    to = tmp_path / "search.yaml"
    before = sorted(bccd_folder().parent.iterdir())
    code, out, _ = detnas("init", bccd_folder(), "--to", to, "--no-check")
    assert code == 0
    assert sorted(bccd_folder().parent.iterdir()) == before
    assert "3 classes (training boxes): RBC 2381, WBC 214, Platelets 209" in out
    code, _, err = detnas("validate", to)
    assert code == 0
    assert [line for line in err.splitlines() if "87 images can tell" not in line] == []


def test_flags_are_written(tmp_path, detnas, pets):
    to = tmp_path / "search.yaml"
    words = ["--no-check", "--no-mirror", "--name", "My Pets", "--model", "faster-rcnn-r18-fpn"]
    assert detnas("init", pets, "--to", to, *words)[0] == 0
    document = yaml.safe_load(to.read_text())
    assert document["metadata"]["name"] == "my-pets"
    assert document["spec"]["dataset"]["horizontalFlip"] == "0"
    assert document["spec"]["base"]["model"] == "faster-rcnn-r18-fpn"


def test_weights_are_named_from_the_manifests_folder(tmp_path, detnas, pets):
    weights = tmp_path / "resnet18.safetensors"
    weights.write_bytes((2).to_bytes(8, "little") + b"{}")
    to = tmp_path / "searches" / "search.yaml"
    words = ["init", pets, "--to", to, "--no-check", "--backbone-weights", weights]
    code, _, err = detnas(*words)
    assert code == 2
    assert "do not fit the base thin" in err
    assert "--model faster-rcnn-r18-fpn" in err
    assert detnas(*words, "--model", "faster-rcnn-r18-fpn")[0] == 0
    base = yaml.safe_load(to.read_text())["spec"]["base"]
    assert base["backboneWeights"] == "../resnet18.safetensors"


def test_a_manifest_that_would_not_be_valid_is_not_written(tmp_path, detnas, pets):
    to = tmp_path / "search.yaml"
    words = ["--model", "faster-rcnn-r18-fpn", "--backbone-weights", tmp_path / "none.pth"]
    code, _, err = detnas("init", pets, "--to", to, "--no-check", *words)
    assert code == 2
    assert "spec.base.backboneWeights" in err
    assert not to.exists()


def test_a_manifest_is_replaced_only_by_force(tmp_path, detnas, pets):
    to = tmp_path / "search.yaml"
    to.write_text("mine")
    code, _, err = detnas("init", pets, "--to", to, "--no-check")
    assert code == 2
    assert f"{to} exists; name another with --to FILE, or replace it with --force" in err
    assert to.read_text() == "mine"
    assert detnas("init", pets, "--to", to, "--no-check", "--force")[0] == 0


def test_broken_images_are_named_and_nothing_is_written(tmp_path, detnas, pets, monkeypatch):
    broken = LookAnswer(images=("a.png: missing; restore it",) * 5, seconds_per_image=0.1)
    monkeypatch.setattr("detnas.cli.planning.init.has_trainer", lambda: True)
    monkeypatch.setattr("detnas.cli.planning.init.ask_trainer", lambda *_: broken)
    code, out, err = detnas("init", pets, "--to", tmp_path / "search.yaml")
    assert code == 2
    assert "5 annotated images cannot be used, and nothing was written" in err
    assert "a.png: missing; restore it" in err
    assert "and 2 more" in err
    assert "16 images, 32 boxes" in out
    assert not (tmp_path / "search.yaml").exists()


def test_oddities_are_reported(tmp_path, detnas, pets):
    draw(pets / "images" / "stray.png")
    _, out, _ = detnas("init", pets, "--to", tmp_path / "search.yaml", "--no-check")
    assert "images that no annotation file lists, and that are not used: 1, first" in out
    assert "classes with fewer than 20 training boxes: 3: cat, dog, bird" in out
    assert "images were not read and no step was timed" in out


def test_in_a_terminal_it_asks_what_was_left_open(tmp_path, detnas, pets, monkeypatch):
    answers = iter(["2", "n"])
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda *_: next(answers))
    monkeypatch.setattr("rich.console.Console.input", lambda *_, **__: next(answers))
    to = tmp_path / "search.yaml"
    assert detnas("init", pets, "--to", to, "--no-check")[0] == 0
    assert "of 2 h allowed" in to.read_text()
    assert yaml.safe_load(to.read_text())["spec"]["dataset"]["horizontalFlip"] == "0"
    assert next(answers, None) is None


def test_a_trainer_that_fails_is_quoted():
    step = TimedStep(
        architecture=parse("[(8, 8)], [(8, 8)], [(8, 8)], [(8, 8)]"),
        detector=DetectorShape(),
        classes=1,
        resolutions=(),
        batch=1,
    )
    failing = [sys.executable, "-c", "import sys; sys.stdin.read(); sys.exit('no CUDA driver')"]
    with pytest.raises(RunError, match=r"ended with 1: no CUDA driver; .*--no-check"):
        ask_trainer(LookRequest(on_cpu=step, on_gpu=step), lambda *_: None, failing)
