"""What torch.save wrote is read without running anything that the file asks for."""

import builtins
import operator
import os
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from torch.serialization import get_safe_globals

from detnas_trainer.foreign import read_checkpoint
from detnas_trainer.foreign.unpickling import load_pickled
from detnas_trainer.weights import WeightsError
from tests.trainer.foreign.conftest import CLASSES, PARTS


@pytest.mark.parametrize("name", ["epoch_1", "epoch_2", "best_coco_bbox_mAP_epoch_1"])
def test_checkpoint_of_mmengines_runner_is_read(plain_run: Any, name: str) -> None:
    folder, trained = plain_run
    checkpoint = read_checkpoint(folder / f"{name}.pth")
    assert checkpoint.state.keys() == trained.keys()
    assert checkpoint.classes == CLASSES
    assert checkpoint.notes == ()
    if name == "epoch_2":
        assert all(torch.equal(checkpoint.state[key], trained[key]) for key in trained)


def test_averaged_weights_are_read_with_a_note(averaged_run: Any) -> None:
    folder, trained = averaged_run
    checkpoint = read_checkpoint(folder / "epoch_2.pth")
    content = torch.load(folder / "epoch_2.pth", weights_only=False)
    assert checkpoint.state.keys() == trained.keys()
    assert torch.equal(
        checkpoint.state["backbone.weight"], content["state_dict"]["backbone.weight"]
    )
    assert not torch.equal(checkpoint.state["backbone.weight"], trained["backbone.weight"])
    assert torch.equal(
        content["ema_state_dict"]["module.backbone.weight"], trained["backbone.weight"]
    )
    assert "not its ema_state_dict" in checkpoint.notes[0]


def test_objects_beside_the_weights_are_not_created(plain_run: Any) -> None:
    folder, _ = plain_run
    content = load_pickled(folder / "epoch_2.pth")
    kept = content["message_hub"]["log_scalars"]["train/loss"]
    assert not isinstance(kept, HistoryBuffer)
    assert not vars(kept)


class _OldNumpy:
    """Pickles as numpy 1 did."""

    class Pickler(pickle.Pickler):
        def __init__(self, file: Any, protocol: int) -> None:
            self._file, self._buffer = file, BytesIO()
            super().__init__(self._buffer, protocol)

        def dump(self, value: Any) -> None:
            super().dump(value)
            self._file.write(self._buffer.getvalue().replace(b"numpy._core.", b"numpy.core."))


@pytest.mark.parametrize("version", [1, 2])
def test_values_of_either_numpy_are_ignored(tmp_path: Path, version: int) -> None:
    beside = {"array": np.arange(3.0), "scalar": np.float32(1), "names": np.array(["a"])}
    path = tmp_path / "x.pth"
    pickler = pickle if version > 1 else _OldNumpy
    torch.save({"state_dict": PARTS, "meta": beside}, path, pickle_module=pickler)
    assert (b"numpy.core." in path.read_bytes()) == (version == 1)
    assert (b"numpy._core." in path.read_bytes()) == (version == 2)
    assert read_checkpoint(path).state.keys() == PARTS.keys()


def test_settings_of_mmengine_are_plain_mappings(tmp_path: Path) -> None:
    meta = ConfigDict(dataset_meta=ConfigDict(CLASSES=("a", "b")))
    torch.save({"state_dict": PARTS, "meta": meta}, tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth").classes == ("a", "b")


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple:
        return self._call


class Touches(HistoryBuffer):  # type: ignore[misc]
    """Pretends to be harmless by its base class."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("executed"),)


COMMAND = "touch executed"
ATTACKS: dict[str, object] = {
    "os.system": Calls(os.system, COMMAND),
    "os.popen": Calls(os.popen, COMMAND),
    "eval": Calls(eval, "open('executed', 'w')"),
    "exec": Calls(exec, "open('executed', 'w')"),
    "__import__": Calls(builtins.__import__, "antigravity"),
    "open": Calls(open, "executed", "w"),
    "a method": Touches(),
    "attrgetter": Calls(operator.attrgetter, "system"),
    "getattr of a module": Calls(getattr, Calls(__import__, "os"), "system"),
    "a bound method": Calls(Path("executed").touch),
    "pickle.loads": Calls(pickle.loads, pickle.dumps(Calls(os.system, COMMAND))),
    "torch.load": Calls(torch.load, "executed"),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in which nothing may appear that a test did not write."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _nested(attack: object) -> dict[str, object]:
    return {
        "beside": {"state_dict": PARTS, "hook": attack},
        "in meta": {"state_dict": PARTS, "meta": {"dataset_meta": {"classes": [attack]}}},
        "in the logs": {
            "state_dict": PARTS,
            "message_hub": {"log_scalars": {"loss": HistoryBuffer([attack], [1])}},
        },
        "as a weight": {"state_dict": {**PARTS, "neck.bias": attack}},
    }


@pytest.mark.parametrize("place", ["beside", "in meta", "in the logs", "as a weight"])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_checkpoint_that_runs_code_is_refused(
    here: Path, attack: str, place: str, legacy: bool
) -> None:
    content = _nested(ATTACKS[attack])[place]
    torch.save(content, "evil.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="is refused"):
        read_checkpoint(Path("evil.pth"))
    assert not Path("executed").exists()


def test_attacks_work_without_the_restricted_unpickler(here: Path) -> None:
    torch.save({"state_dict": PARTS, "hook": ATTACKS["os.system"]}, "evil.pth")
    torch.load("evil.pth", weights_only=False)
    assert Path("executed").exists()


def test_getattr_is_never_the_real_one(here: Path) -> None:
    torch.save({"state_dict": PARTS, "x": Calls(getattr, "text", "upper")}, "x.pth")
    assert not callable(load_pickled(Path("x.pth"))["x"])


def test_reading_allows_nothing_for_others(plain_run: Any) -> None:
    before = set(map(str, get_safe_globals()))
    read_checkpoint(plain_run[0] / "epoch_2.pth")
    assert set(map(str, get_safe_globals())) == before


def _follow(remedy: str, old: Path, new: Path) -> None:
    _, _, command = remedy.partition(": ")
    exec(command, {"torch": torch, "old": old, "new": new})  # it has to work as printed


@pytest.mark.parametrize(("protocol", "said"), [(4, "protocol 4"), (5, "protocol 4")])
def test_another_pickle_protocol_is_refused_with_the_way_out(
    plain_run: Any, tmp_path: Path, protocol: int, said: str
) -> None:
    old, new = tmp_path / "old.pth", tmp_path / "new.pth"
    content = torch.load(plain_run[0] / "epoch_2.pth", weights_only=False)
    torch.save(content, old, pickle_protocol=protocol)
    with pytest.raises(WeightsError, match=said) as caught:
        read_checkpoint(old)
    _follow(caught.value.remedy, old, new)
    assert read_checkpoint(new).classes == CLASSES


def test_objects_of_other_packages_are_refused_by_name_with_the_way_out(tmp_path: Path) -> None:
    old, new = tmp_path / "old.pth", tmp_path / "new.pth"
    meta = {"dataset_meta": {"classes": CLASSES}, "place": tmp_path}
    torch.save({"state_dict": PARTS, "meta": meta}, old)
    with pytest.raises(WeightsError, match=r"refused: .*pathlib\.") as caught:
        read_checkpoint(old)
    _follow(caught.value.remedy, old, new)
    assert read_checkpoint(new).classes == CLASSES


def test_pickled_model_is_recognised_and_refused_with_the_way_out(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({name: torch.nn.Linear(1, 1) for name in ("backbone", "neck")})
    model.update({name: torch.nn.Linear(1, 1) for name in ("rpn_head", "roi_head")})
    old, new = tmp_path / "old.pth", tmp_path / "new.pth"
    torch.save(model, old)
    with pytest.raises(WeightsError, match="is a pickled model") as caught:
        read_checkpoint(old)
    _follow(caught.value.remedy, old, new)
    assert read_checkpoint(new).state.keys() == model.state_dict().keys()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_file_cut_anywhere_is_a_clear_error(plain_run: Any, tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "x.pth"
    content = torch.load(plain_run[0] / "epoch_2.pth", weights_only=False)
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    assert read_checkpoint(path).state
    for length in range(0, len(whole) - 1, len(whole) // 40):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"^base\.weights: .*x\.pth .*; \w+"):
            read_checkpoint(path)


def test_refused_pickle_cut_anywhere_is_a_clear_error(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.pth", tmp_path / "cut.pth"
    torch.save({"state_dict": PARTS, "place": tmp_path}, whole)
    with ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (pickled,) = (name for name in members if name.endswith("/data.pkl"))
    for length in range(len(members[pickled])):
        with ZipFile(cut, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content[:length] if name == pickled else content)
        with pytest.raises(WeightsError, match=r"^base\.weights: .*cut\.pth .*; \w+"):
            read_checkpoint(cut)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_damaged_bytes_are_read_or_a_clear_error(
    plain_run: Any, tmp_path: Path, legacy: bool
) -> None:
    path = tmp_path / "x.pth"
    content = torch.load(plain_run[0] / "epoch_2.pth", weights_only=False)
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 8):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_checkpoint(path)
        except WeightsError:
            refused += 1
    assert refused > 10
