import pickle
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch

from detnas.records.results import Outcome
from detnas.store.artifacts import fetch_artifact
from detnas.store.durable_files import sha256_of
from detnas_trainer.detector import build_detector
from detnas_trainer.weights import load_weights, save_weights
from tests.trainer.conftest import CLASSES, Workplace, training

KEY = "local/searches/a-1/base"


def test_base_is_trained_scored_and_published(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    request = workplace.base_request(KEY)
    result = workplace.succeed(request)
    assert result.outcome is Outcome.SUCCEEDED
    assert result.iterations == 6
    assert [score.resolution for score in result.scores] == list(workplace.common["resolutions"])
    assert {"loss", "loss_cls", "loss_rpn_bbox"} <= result.final_loss.keys()
    assert len(result.loss_by_epoch) == 2
    # Fewer steps than final_loss is a mean of, so that both are means of the same losses.
    assert sum(result.loss_by_epoch) / 2 == pytest.approx(result.final_loss["loss"])
    assert {"training", "evaluating", "loading", "publishing"} <= result.seconds.keys()
    elapsed = (result.finished - result.started).total_seconds()
    assert sum(result.seconds.values()) >= elapsed - 0.1

    weights = load_weights(fetch_artifact(workplace.store, result.weights))
    assert weights.metadata["classes"] == list(CLASSES)
    assert weights.state["backbone.bn1.num_batches_tracked"] == 6
    assert result.gammas.keys() == {"stem", "1", "2", "3", "4"}
    stem = weights.state["backbone.bn1.weight"]
    assert sum(result.gammas["stem"]) == len(stem)
    assert result.gammas["stem"][5] == ((stem >= 0.5) & (stem < 1.0)).sum()
    attempt = workplace.attempt(KEY, 1)
    assert attempt is not None
    assert attempt.resumed_at == 0
    assert workplace.progress(KEY)
    assert not [key for key in workplace.store.list(f"{KEY}/") if "checkpoint" in key]

    capsys.readouterr()
    assert workplace.run(request) == 0
    assert "has its result already: Succeeded" in capsys.readouterr().err
    assert not workplace.attempt(KEY, 2)


def test_changed_annotations_are_refused(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    root, data = Path(workplace.common["data"].root), workplace.common["data"]
    seen = tuple(sha256_of(root / name) for name in (data.train, data.val))
    assert workplace.run(workplace.base_request(KEY, annotations=(seen[0], "0" * 64))) == 44
    said = f"the validation annotations {root / data.val} have changed"
    assert said in capsys.readouterr().err
    assert workplace.run(workplace.base_request("local/unchanged", annotations=seen)) == 0


@pytest.mark.parametrize(("steps", "outcome"), [(6, Outcome.INVALID), (5, Outcome.SUCCEEDED)])
def test_warmup_as_long_as_the_training_is_invalid(
    workplace: Workplace, steps: int, outcome: Outcome
) -> None:
    schedule = training(2, warmup_iterations=steps)
    result = workplace.succeed(workplace.base_request(KEY, training=schedule))
    assert result.outcome is outcome
    if outcome is Outcome.INVALID:
        assert "warmupIterations: 6, and the entire training has 6 steps" in result.message


@pytest.mark.parametrize(("zero", "scale"), [(True, 0), (False, 1)])
def test_base_begins_with_the_residual_branches_that_were_asked_for(
    workplace: Workplace, zero: bool, scale: float
) -> None:
    hardly = training(1, learning_rate=Decimal("0.0000000001"))
    request = workplace.base_request(KEY, training=hardly, zero_init_residual=zero)
    state = workplace.weights(workplace.succeed(request))
    last = [value for name, value in state.items() if ".layer" in name and "bn2.weight" in name]
    assert last
    for value in last:
        torch.testing.assert_close(value, torch.full_like(value, scale), rtol=0, atol=1e-6)


@pytest.fixture
def foreign(workplace: Workplace) -> Path:
    """A checkpoint of the architecture, made elsewhere."""
    torch.manual_seed(3)
    common = workplace.common
    detector = build_detector(common["architecture"], common["detector"], len(CLASSES))
    path = workplace.root / "foreign.pth"
    meta = {"epoch": 3, "dataset_meta": {"classes": CLASSES}}
    torch.save({"state_dict": detector.state_dict(), "meta": meta}, path)
    return path


def imported(workplace: Workplace, key: str, weights: Path | str, epochs: int = 0) -> Any:
    """Run a base job on a checkpoint, and return its result."""
    request = workplace.base_request(key, weights=str(weights), training=training(epochs))
    return workplace.succeed(request)


def test_base_with_0_epochs_is_the_checkpoint(workplace: Workplace, foreign: Path) -> None:
    results = [
        imported(workplace, key, weights)
        for key, weights in (("local/path", foreign), ("local/uri", foreign.as_uri()))
    ]
    assert [result.outcome for result in results] == [Outcome.SUCCEEDED] * 2
    assert results[0].weights.sha256 == results[1].weights.sha256
    assert results[0].iterations == 0
    assert results[0].notes == ()
    state = workplace.weights(results[0])
    own = torch.load(foreign, weights_only=True)["state_dict"]
    assert state.keys() == own.keys()
    assert all(torch.equal(state[name], own[name]) for name in own)


def test_classes_in_another_order_give_the_same_detector_and_a_note(
    workplace: Workplace, foreign: Path
) -> None:
    """A trained detector, its class rows and names exchanged, is the same detector."""
    trained = imported(workplace, "local/trained", foreign, epochs=2)
    state = workplace.weights(trained)
    head = "roi_head.bbox_head"
    for kind in ("weight", "bias"):
        scores, boxes = state[f"{head}.fc_cls.{kind}"], state[f"{head}.fc_reg.{kind}"]
        state[f"{head}.fc_cls.{kind}"] = scores[[1, 0, 2]]
        state[f"{head}.fc_reg.{kind}"] = boxes[[4, 5, 6, 7, 0, 1, 2, 3]]
    meta = {"dataset_meta": {"classes": CLASSES[::-1]}}
    path = workplace.root / "exchanged.pth"
    torch.save({"state_dict": state, "meta": meta}, path)
    found = imported(workplace, "local/exchanged", path)
    assert "into the data set's order by name" in found.notes[0]
    assert found.weights.sha256 == trained.weights.sha256


def test_weights_of_other_classes_need_training(workplace: Workplace, foreign: Path) -> None:
    content = torch.load(foreign, weights_only=True)
    content["meta"]["dataset_meta"]["classes"] = ("cat", "dog")
    torch.save(content, foreign)
    refused = imported(workplace, "local/as-it-is", foreign)
    assert refused.outcome is Outcome.INVALID
    assert "they lack disc, square; they also have cat, dog; add base.train" in refused.message
    trained = imported(workplace, "local/trained", foreign, epochs=1)
    assert trained.outcome is Outcome.SUCCEEDED
    assert "the class layers are initialised afresh" in trained.notes[0]


@pytest.fixture
def pretrained(workplace: Workplace) -> Path:
    """Weights of the architecture's backbone alone, as a classifier that was trained has them."""
    architecture, shape = workplace.common["architecture"], workplace.common["detector"]
    backbone = build_detector(architecture, shape, 2).backbone
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1)
            assert module.running_mean is not None
            module.running_mean.normal_(0, 0.1)
    torch.save({**backbone.state_dict(), "fc.bias": torch.zeros(10)}, workplace.root / "r8.pth")
    return workplace.root / "r8.pth"


@pytest.mark.parametrize(("frozen_stages", "norm_eval"), [(1, True), (2, False), (-1, False)])
def test_base_from_backbone_weights_trains_what_is_not_frozen(
    workplace: Workplace, pretrained: Path, frozen_stages: int, norm_eval: bool
) -> None:
    request = workplace.base_request(
        KEY,
        weights=str(pretrained),
        weights_part="Backbone",
        frozen_stages=frozen_stages,
        norm_eval=norm_eval,
    )
    result = workplace.succeed(request)
    assert result.outcome is Outcome.SUCCEEDED, result.message
    assert "left out: fc.bias; neck, rpn_head and roi_head are initialised" in result.notes[0]
    given, state = torch.load(pretrained), workplace.weights(result)
    del given["fc.bias"]
    kept = {name for name in given if torch.equal(given[name], state[f"backbone.{name}"])}
    frozen = {-1: (), 1: ("conv1.", "bn1.", "layer1."), 2: ("conv1.", "bn1.", "layer1.", "layer2.")}
    ends = ("running_mean", "running_var", "num_batches_tracked") if norm_eval else ()
    assert kept == {n for n in given if n.startswith(frozen[frozen_stages]) or n.endswith(ends)}


def test_backbone_weights_that_do_not_fit_are_invalid(workplace: Workplace, foreign: Path) -> None:
    torch.save({"conv1.weight": torch.ones(8), "layer1.0.x": torch.ones(1)}, foreign)
    request = workplace.base_request(KEY, weights=str(foreign), weights_part="Backbone")
    result = workplace.succeed(request)
    assert result.outcome is Outcome.INVALID
    assert "base.backboneWeights: weights: tensors do not fit the backbone" in result.message


def test_backbone_weights_as_a_detectors_are_refused_with_the_right_field(
    workplace: Workplace, pretrained: Path
) -> None:
    refused = imported(workplace, KEY, pretrained, epochs=1)
    assert refused.outcome is Outcome.INVALID
    assert "names are those of a backbone alone; give it as base.backboneW" in refused.message


WRONG: dict[str, tuple[bytes, str]] = {
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "link as text": (b"../store/base.pth", "as a symbolic link does"),
    "web page": (b"<html>404</html>", "is a web page"),
    "empty": (b"", "is empty"),
    "detectron2": (pickle.dumps({"model": {}}), "is a plain pickle"),
}


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ("absent.pth", "base.weights: .*absent.pth does not exist"),
        ("", "is a folder"),
        ("unsafe.pth", "holds more than tensors"),
        ("cut.safetensors", "cannot be read as safetensors"),
        ("other.safetensors", "do not fit the detector"),
        ("https://example.com/r18.pth", "https:// addresses are not supported; download"),
        ("torchvision://resnet18", "torchvision:// addresses are not supported"),
        (None, "training.epochs is 0 and there are no weights"),
        *((f"{kind}.pth", said) for kind, (_, said) in WRONG.items()),
    ],
)
def test_unusable_weights_are_invalid_without_a_traceback(
    workplace: Workplace,
    foreign: Path,
    weights: str | None,
    named: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = workplace.root
    torch.save({"state_dict": {}, "when": datetime.now(UTC)}, folder / "unsafe.pth")
    state = torch.load(foreign, weights_only=True)["state_dict"]
    save_weights(folder / "other.safetensors", {**state, "neck.extra": torch.zeros(1)})
    (folder / "cut.safetensors").write_bytes((folder / "other.safetensors").read_bytes()[:-100])
    for kind, (content, _) in WRONG.items():
        (folder / f"{kind}.pth").write_bytes(content)
    if weights is not None and "://" not in weights:
        weights = str(folder / weights)
    result = workplace.succeed(workplace.base_request(KEY, weights=weights, training=training(0)))
    assert result.outcome is Outcome.INVALID
    assert re.search(named, result.message)
    assert "Traceback" not in capsys.readouterr().err


def test_diverged_training_is_a_result_and_keeps_the_state_before_its_last_step(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETNAS_CHECKPOINT_SECONDS", "0")
    wild = training(2, learning_rate="100000", gradient_clip="0")
    result = workplace.succeed(workplace.base_request(KEY, training=wild))
    assert result.outcome is Outcome.DIVERGED
    assert re.search(r"at iteration [1-9]", result.message)  # so there was a checkpoint
    assert not result.files
    kept = [key for key in workplace.store.list(f"{KEY}/") if key.endswith(".safetensors")]
    step = result.message.split("at iteration ")[1].split()[0]
    assert kept == [f"{KEY}/attempts/1/checkpoint-{step}.safetensors"]


def test_out_of_memory_is_a_result(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmdet.models.detectors import TwoStageDetector

    def exhausts(*_: object) -> None:
        torch.empty(1 << 60, dtype=torch.uint8)

    monkeypatch.setattr(TwoStageDetector, "loss", exhausts)
    result = workplace.succeed(workplace.base_request(KEY))
    assert result.outcome is Outcome.OUT_OF_MEMORY


def test_full_store_fails_the_attempt_and_the_next_succeeds(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from detnas.store.directory import DirectoryStore
    from detnas.store.errors import StoreFull

    def full(*_: object) -> None:
        raise StoreFull("no space left to write", "free space")

    request = workplace.base_request(KEY)
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryStore, "upload_file", full)
        assert workplace.run(request) == 1
    printed = capsys.readouterr().err
    assert "no space left to write; free space" in printed
    assert "Traceback" not in printed
    assert not workplace.has_result(KEY)
    assert workplace.succeed(request).attempt == 2
