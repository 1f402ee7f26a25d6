"""Which detectors users may export, what their cards state, and where they are stored."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from detnas.lifecycle.later_exports import ExportChoice, later_exports
from detnas.lifecycle.outcome import detectors_of
from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.record import StoredSearch
from detnas.plan.front import pareto_front
from detnas.records.artifacts import IMAGE_LISTING
from detnas.records.exports import ExportFormat, ExportSettings
from detnas.records.results import DetectorResult
from detnas.records.verbs import Verb
from detnas.store import Store
from tests.detnas.searches.in_process import TUNED, Scheduler, entries, tiny

Finished = tuple[StoredSearch, SearchState]


def _scored(maps: dict[Verb, float]) -> Any:
    """Results with an mAP by verb, if it is named, and with replicates of it."""

    def answer(verb: Verb) -> Any:
        def change(result: DetectorResult) -> DetectorResult:
            random = Random(0)
            scores = []
            for one in result.scores:
                map_ = maps.get(verb, one.map)
                replicates = tuple(round(map_ + random.gauss(0, 0.001), 4) for _ in range(100))
                scores.append(one.model_copy(update={"map": map_, "replicates": replicates}))
            return result.model_copy(update={"scores": tuple(scores)})

        return change

    return answer


def _search(store: Store, licence: str = "mit") -> StoredSearch:
    return tiny(store, "one", {**TUNED, "modelCard": {"license": licence}}, trials=4)


def _run(store: Store, tmp_path: Path, base: float, tuned: float) -> Finished:
    search, answer = _search(store), _scored({Verb.BASE: base, Verb.FINETUNE: tuned})
    verbs = (Verb.BASE, Verb.EVALUATE, Verb.FINETUNE)
    files = {Verb.PREPARE: {IMAGE_LISTING: b"{}"}}  # as of a trainer that knows the card
    return search, Scheduler(tmp_path, {verb: answer(verb) for verb in verbs}, files).run(search)


@pytest.fixture
def finished(store: Store, tmp_path: Path) -> Finished:
    """Its fine-tuned student is worse than before, so that the trial's own is the winner."""
    return _run(store, tmp_path, base=0.1, tuned=0.15)


def test_trial_is_exported_after_its_finetuning_unless_before_is_asked_for(
    finished: Finished,
) -> None:
    search, state = finished
    assert state.final_stages is not None
    (tuned,) = state.final_stages.all_finetuned
    (after,) = later_exports(search, ExportChoice(trial=tuned.trial), ExportSettings())
    assert after.is_finetuned
    assert after.name == f"trial-{tuned.trial:04d}-finetuned"
    assert after.request.weights == tuned.result.weights
    assert after.request.expected_map == tuned.map == 0.15
    assert after.request.card is not None
    assert after.request.card.lineage[-1].did == "fine-tuning"

    choice = ExportChoice(trial=tuned.trial, before_finetuning=True)
    (before,) = later_exports(search, choice, ExportSettings())
    (entry,) = (one for one in entries(search, state) if one.index == tuned.trial)
    assert not before.is_finetuned
    assert before.request.weights == entry.weights
    assert before.request.card is not None
    assert before.request.card.lineage[-1].trial == tuned.trial
    assert before.request.key != after.request.key


@pytest.mark.parametrize(("base", "tuned"), [(0.99, 0.98), (0.98, 0.99)])
def test_front_is_the_one_that_is_shown(
    store: Store, tmp_path: Path, base: float, tuned: float
) -> None:
    search, state = _run(store, tmp_path, base, tuned)
    exports = later_exports(search, ExportChoice(front=True), ExportSettings())
    found = {}
    for one in exports:
        words = one.name.split("-")
        found[int(words[1]) if len(words) > 1 else None, one.is_finetuned] = one
    shown = {(one.trial, one.finetuned) for one in pareto_front(detectors_of(state))}
    assert set(found) == shown
    assert ((None, False) in shown) == (base > tuned)
    assert any(is_tuned for _, is_tuned in shown) == (tuned > base)


def test_card_of_a_trial_states_the_gain_on_the_images_it_was_selected_on(
    finished: Finished,
) -> None:
    search, state = finished
    front = {point.index for point in state.history.summary.front}  # whose weights are kept
    for entry in (one for one in entries(search, state) if one.index in front):
        choice = ExportChoice(trial=entry.index, before_finetuning=True)
        gain = later_exports(search, choice, ExportSettings())[0].request.gain
        assert gain is not None
        assert state.scorer is not None
        assert entry.h is not None
        assert gain.difference == pytest.approx(entry.h - max(one.h for one in state.scorer.scored))
        assert not gain.unseen


def test_folder_is_another_once_the_card_states_something_else(
    store: Store, finished: Finished
) -> None:
    files = ExportSettings(formats=(ExportFormat.ONNX,))
    keys = []
    for licence in ("mit", "apache-2.0", "mit"):
        (one,) = later_exports(_search(store, licence), ExportChoice(), files)
        keys.append(one.request.key)
    assert keys[0] == keys[2] != keys[1]
