"""Weights files, and what fits a model."""

from pathlib import Path

import pytest
import torch

from detnas_trainer.weights import (
    WeightsError,
    WeightsMismatchError,
    check_state,
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


def test_saved_weights_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE, {"architecture": {"stem": 8}, "note": "β"})
    weights = load_weights(path)
    assert weights.metadata == {"architecture": {"stem": 8}, "note": "β"}
    assert weights.state.keys() == STATE.keys()
    assert all(torch.equal(weights.state[name], value) for name, value in STATE.items())
    assert all(weights.state[name].dtype == value.dtype for name, value in STATE.items())
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    save_weights(first, STATE, {"a": 1, "b": 2})
    save_weights(second, dict(reversed(STATE.items())), {"b": 2, "a": 1})
    assert first.read_bytes() == second.read_bytes()


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    save_weights(tmp_path / "w", {"a": whole, "b": whole[:3]})
    assert load_weights(tmp_path / "w").state["b"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("damage", ["truncated", "header", "empty", "foreign"])
def test_damaged_file_is_a_clear_error(tmp_path: Path, damage: str) -> None:
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
    with pytest.raises(WeightsError, match=r"w\.safetensors cannot be read"):
        load_weights(path)


def test_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_weights(path, STATE, {"unserialisable": object()})
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_every_kind_of_misfit_is_named() -> None:
    expected = {name: torch.zeros(2) for name in ("same", "missing", "shape")}
    state = {"same": torch.ones(2), "shape": torch.ones(3), "unexpected": torch.ones(2)}
    check_state(expected, expected)
    with pytest.raises(WeightsMismatchError) as caught:
        check_state(state, expected)
    assert caught.value.missing == ("missing",)
    assert caught.value.unexpected == ("unexpected",)
    assert "shape is (3,), not (2,)" in str(caught.value)
