"""Weights files, foreign checkpoints, and what fits a model."""

from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub

from detnas.architecture import parse
from detnas.records.settings import DetectorShape
from detnas_trainer.detector import build_detector
from detnas_trainer.weights import (
    WeightsError,
    WeightsMismatchError,
    adapt_state,
    import_checkpoint,
    load_weights,
    save_weights,
)

STATE = {
    "backbone.conv1.weight": torch.randn(4, 3, 7, 7),
    "neck.lateral_convs.0.conv.weight": torch.randn(4, 6, 1, 1).transpose(0, 1),
    "rpn_head.rpn_conv.bias": torch.randn(4).double(),
    "roi_head.bbox_head.fc_cls.bias": torch.randn(3).half(),
    "backbone.bn1.num_batches_tracked": torch.tensor(12),
}
SHAPE = DetectorShape(neck=8, fc=16)
ARCHITECTURE = parse("[(4, 8)], [(4, 8)], [(4, 8)], [(4, 8)]", stem=8)


def detector_state(classes: int) -> dict[str, torch.Tensor]:
    return build_detector(ARCHITECTURE, SHAPE, classes).state_dict()


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE, {"architecture": {"stem": 8}, "note": "β"})
    weights = load_weights(path)
    assert weights.metadata == {"architecture": {"stem": 8}, "note": "β"}
    assert weights.state.keys() == STATE.keys()
    assert all(torch.equal(weights.state[name], value) for name, value in STATE.items())
    assert all(weights.state[name].dtype == value.dtype for name, value in STATE.items())
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    save_weights(first, STATE, {"a": 1, "b": 2})
    save_weights(second, dict(reversed(STATE.items())), {"b": 2, "a": 1})
    assert first.read_bytes() == second.read_bytes()


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    save_weights(tmp_path / "w", {"a": whole, "b": whole[:3]})
    assert load_weights(tmp_path / "w").state["b"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("damage", ["truncated", "header", "empty", "foreign"])
def test_a_damaged_file_is_a_clear_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE)
    content = path.read_bytes()
    path.write_bytes(
        {
            "truncated": content[:-10],
            "header": b"\xff" * 8 + content[8:],
            "empty": b"",
            "foreign": b"not a weights file at all",
        }[damage]
    )
    with pytest.raises(WeightsError, match=r"w\.safetensors can not be read"):
        load_weights(path)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_weights(path, STATE, {"unserialisable": object()})
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("wrapped", [True, False], ids=["mmengine", "bare"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_checkpoint_of_mmdet_is_imported(tmp_path: Path, wrapped: bool, prefix: str) -> None:
    path = tmp_path / "r18.pth"
    state = {prefix + name: value for name, value in STATE.items()}
    torch.save({"meta": {"epoch": 12}, "state_dict": state} if wrapped else state, path)
    imported = import_checkpoint(path)
    assert imported.keys() == STATE.keys()
    assert imported["roi_head.bbox_head.fc_cls.bias"].dtype == torch.float32
    assert imported["backbone.bn1.num_batches_tracked"].dtype == torch.int64


def test_safetensors_are_imported_too(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", STATE)
    assert import_checkpoint(tmp_path / "w.safetensors").keys() == STATE.keys()


class Malicious:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("executed"),)


def test_a_checkpoint_that_runs_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": STATE, "hook": Malicious()}, "evil.pth")
    with pytest.raises(WeightsError, match="refused"):
        import_checkpoint(Path("evil.pth"))
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "can not be read"),
        (b"garbage", "refused"),
        (b"PK\x03\x04 torn", "can not be read"),
    ],
    ids=["empty", "garbage", "torn zip"],
)
def test_what_is_no_checkpoint_is_a_clear_error(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        import_checkpoint(path)


@pytest.mark.parametrize("content", [{"epoch": 1}, [torch.zeros(1)], {"state_dict": {"a": 1}}])
def test_a_checkpoint_without_tensors_by_name_is_a_clear_error(
    tmp_path: Path, content: object
) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        import_checkpoint(tmp_path / "x.pth")


def test_a_backbone_alone_is_no_detector(tmp_path: Path) -> None:
    path = tmp_path / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"no tensor begins with backbone\. or neck\."):
        import_checkpoint(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("absent.pth", "absent.safetensors"):
        with pytest.raises(FileNotFoundError, match="absent"):
            import_checkpoint(tmp_path / name)


def test_weights_that_fit_are_adapted_unchanged() -> None:
    state = detector_state(3)
    adapted = adapt_state(state, detector_state(3))
    assert adapted.notes == ()
    assert all(torch.equal(adapted.state[name], value) for name, value in state.items())


def test_missing_batch_counters_are_filled() -> None:
    state = detector_state(3)
    old = {name: value for name, value in state.items() if "num_batches" not in name}
    assert adapt_state(old, state).state.keys() == state.keys()


def test_other_classes_are_refused_unless_asked_for() -> None:
    given, fresh = detector_state(80), detector_state(3)
    with pytest.raises(WeightsMismatchError, match=r"fc_cls\.weight is \(81, 16\), not \(4, 16\)"):
        adapt_state(given, fresh)

    adapted = adapt_state(given, fresh, new_classes=True)

    renewed = {
        f"roi_head.bbox_head.{x}"
        for x in ("fc_cls.weight", "fc_cls.bias", "fc_reg.weight", "fc_reg.bias")
    }
    assert {note.split(" ")[0] for note in adapted.notes} == renewed
    for name, value in adapted.state.items():
        assert torch.equal(value, (fresh if name in renewed else given)[name])


def test_another_neck_is_refused_even_with_new_classes() -> None:
    other = build_detector(ARCHITECTURE, DetectorShape(neck=12, fc=16), 3).state_dict()
    with pytest.raises(WeightsMismatchError, match=r"neck\.lateral_convs\.0\.conv\.weight"):
        adapt_state(other, detector_state(5), new_classes=True)


def test_a_training_checkpoint_of_mmengine_is_refused_with_the_way_out(tmp_path: Path) -> None:
    hub = MessageHub("weights")
    hub.update_scalar("train/loss", 0.5)
    path = tmp_path / "epoch_12.pth"
    torch.save({"state_dict": STATE, "message_hub": hub.state_dict()}, path)
    with pytest.raises(WeightsError, match="refused") as caught:
        import_checkpoint(path)

    old, new = path, tmp_path / "new.pth"
    _, _, command = caught.value.remedy.partition(": ")
    exec(command, {"torch": torch, "old": old, "new": new})  # the advice has to work as printed
    assert import_checkpoint(new).keys() == STATE.keys()
