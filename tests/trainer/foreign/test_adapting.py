"""A checkpoint fits a detector by the names of its classes, or is refused."""

from unicodedata import normalize

import pytest
import torch
from torch import Tensor

from detnas.architecture import parse
from detnas.records.settings import DetectorShape
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.foreign import Checkpoint, OtherClassesError, adapt
from detnas_trainer.weights import WeightsMismatchError

SHAPE = DetectorShape(neck=8, fc=16)
ARCHITECTURE = parse("[(4, 8)], [(4, 8)], [(4, 8)], [(4, 8)]", stem=8)
HEAD = "roi_head.bbox_head"
CLASS_LAYERS = {
    f"{HEAD}.{x}" for x in ("fc_cls.weight", "fc_cls.bias", "fc_reg.weight", "fc_reg.bias")
}


def state_for(classes: int, shape: DetectorShape = SHAPE) -> dict[str, Tensor]:
    return build_detector(ARCHITECTURE, shape, classes).state_dict()


def numbers(names: str) -> tuple[str, ...]:
    return tuple(names.split())


def test_weights_that_fit_are_taken_unchanged() -> None:
    state = state_for(3)
    adapted = adapt(Checkpoint(state, ("a", "b", "c")), state_for(3), ["a", "b", "c"])
    assert adapted.notes == ()
    assert all(torch.equal(adapted.state[name], value) for name, value in state.items())


def test_notes_of_reading_are_passed_on() -> None:
    state = state_for(1)
    adapted = adapt(Checkpoint(state, ("a",), ("averaged",)), state, ["a"])
    assert adapted.notes == ("averaged",)


def test_missing_batch_counters_are_filled() -> None:
    state = state_for(3)
    old = {name: value for name, value in state.items() if "num_batches" not in name}
    assert adapt(Checkpoint(old), state, numbers("a b c")).state.keys() == state.keys()


@pytest.mark.parametrize("trained", [False, True])
def test_classes_in_another_order_are_mapped_by_name(trained: bool) -> None:
    given, wanted = numbers("cat dog bird"), numbers("bird cat dog")
    state = state_for(3)
    adapted = adapt(Checkpoint(state, given), state_for(3), wanted, trained=trained)
    (note,) = adapted.notes
    assert "into the data set's order by name" in note
    assert "cat, dog, bird" in note
    scores, boxes = state[f"{HEAD}.fc_cls.weight"], state[f"{HEAD}.fc_reg.bias"].view(3, 4)
    for place, name in enumerate(wanted):
        row = given.index(name)
        assert torch.equal(adapted.state[f"{HEAD}.fc_cls.weight"][place], scores[row])
        assert torch.equal(adapted.state[f"{HEAD}.fc_reg.bias"].view(3, 4)[place], boxes[row])
    assert torch.equal(adapted.state[f"{HEAD}.fc_cls.weight"][-1], scores[-1]), "the background"
    for name in state.keys() - CLASS_LAYERS:
        assert torch.equal(adapted.state[name], state[name])


def test_detector_with_mapped_classes_finds_the_same_under_the_same_names() -> None:
    given, wanted = numbers("cat dog bird"), numbers("bird cat dog")
    state = state_for(3)
    generator = torch.Generator().manual_seed(0)
    for name in CLASS_LAYERS:
        state[name] = torch.randn(state[name].shape, generator=generator)
    mapped = adapt(Checkpoint(state, given), state_for(3), wanted).state
    features = torch.randn(5, 8 * 7 * 7, generator=generator)
    found = {}
    for names, weights in ((given, state), (wanted, mapped)):
        head = load_detector(ARCHITECTURE, SHAPE, 3, weights).roi_head.bbox_head.eval()
        scores, boxes = head(features.view(5, 8, 7, 7))
        found[names] = {
            name: torch.cat([scores[:, [row]], boxes[:, 4 * row : 4 * row + 4]], 1)
            for row, name in enumerate(names)
        }
    assert all(torch.allclose(found[given][name], found[wanted][name]) for name in given)


def test_names_are_compared_as_characters_not_as_code_points() -> None:
    state = state_for(2)
    names = ("Tür", "Käfig")
    given = tuple(normalize("NFD", name) for name in names)
    assert given != names
    assert adapt(Checkpoint(state, given), state, names).notes == ()


def test_other_classes_are_refused_by_name_with_base_train_as_the_remedy() -> None:
    state = state_for(3)
    checkpoint = Checkpoint(state, numbers("cat dog bird"))
    with pytest.raises(OtherClassesError) as caught:
        adapt(checkpoint, state_for(3), numbers("cat fish bird"))
    assert "they lack fish; they also have dog" in caught.value.problem
    assert "base.train" in caught.value.remedy


def test_other_classes_of_the_same_number_start_afresh_where_the_base_is_trained() -> None:
    state, fresh = state_for(3), state_for(3)
    checkpoint = Checkpoint(state, numbers("cat dog bird"))
    adapted = adapt(checkpoint, fresh, numbers("cat fish bird"), trained=True)
    assert "initialised afresh: " in adapted.notes[0]
    assert "lack fish" in adapted.notes[0]
    for name, value in adapted.state.items():
        assert torch.equal(value, (fresh if name in CLASS_LAYERS else state)[name])


@pytest.mark.parametrize("names", [None, tuple(map(str, range(80)))], ids=["unnamed", "named"])
def test_another_number_of_classes_is_refused_unless_the_base_is_trained(
    names: tuple[str, ...] | None,
) -> None:
    state, fresh = state_for(80), state_for(3)
    checkpoint, wanted = Checkpoint(state, names), numbers("1 2 3")
    said = r"lack|fc_cls\.weight is \(81, 16\), not \(4, 16\)"
    if names:
        said = r"they also have 0, 4, 5, 6, 7, and 72 more; add base\.train"
    with pytest.raises(OtherClassesError, match=said):
        adapt(checkpoint, fresh, wanted)
    adapted = adapt(checkpoint, fresh, wanted, trained=True)
    for name, value in adapted.state.items():
        assert torch.equal(value, (fresh if name in CLASS_LAYERS else state)[name])


def test_one_box_regression_for_all_classes_is_refused_unless_the_base_is_trained() -> None:
    state, names = state_for(3), numbers("a b c")
    for kind in ("weight", "bias"):
        state[f"{HEAD}.fc_reg.{kind}"] = state[f"{HEAD}.fc_reg.{kind}"][:4]
    with pytest.raises(OtherClassesError, match=r"fc_reg\.weight is \(4, 16\), not \(12, 16\)"):
        adapt(Checkpoint(state, names), state_for(3), names)
    fresh = state_for(3)
    adapted = adapt(Checkpoint(state, names[::-1]), fresh, names, trained=True)
    assert torch.equal(adapted.state[f"{HEAD}.fc_reg.bias"], fresh[f"{HEAD}.fc_reg.bias"])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (None, "does not name its classes"),
        (numbers("a b c d"), "names 4 classes, which do not go with the rows"),
        (numbers("b a a"), "names 3 classes, which do not go with the rows"),
    ],
)
def test_incomparable_classes_are_taken_in_order_with_a_note(
    names: tuple[str, ...] | None, said: str
) -> None:
    state = state_for(3)
    adapted = adapt(Checkpoint(state, names), state_for(3), numbers("a b c"))
    assert said in adapted.notes[0]
    assert "taken to be the data set's, in its order" in adapted.notes[0]
    assert all(torch.equal(adapted.state[name], value) for name, value in state.items())


def test_another_neck_is_refused_even_with_trained() -> None:
    other = state_for(3, DetectorShape(neck=12, fc=16))
    with pytest.raises(WeightsMismatchError, match=r"neck\.lateral_convs\.0\.conv\.weight"):
        adapt(Checkpoint(other), state_for(5), numbers("a b c d e"), trained=True)


def test_another_neck_is_named_before_other_classes() -> None:
    """Training the base would not mend it."""
    other = state_for(3, DetectorShape(neck=12, fc=16))
    with pytest.raises(WeightsMismatchError, match=r"neck\.lateral_convs\.0\.conv\.weight"):
        adapt(Checkpoint(other, numbers("a b c")), state_for(3), numbers("d e f"))


@pytest.mark.parametrize("name", sorted(CLASS_LAYERS))
def test_missing_class_layer_is_named(name: str) -> None:
    state = state_for(3)
    del state[name]
    with pytest.raises(WeightsMismatchError, match=f"1 missing .*{name}"):
        adapt(Checkpoint(state, numbers("a b c")), state_for(3), numbers("c b a"), trained=True)
