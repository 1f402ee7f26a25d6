"""What the request of an export states for the model card."""

from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.record import StoredSearch
from detnas.records import keys
from detnas.records.artifacts import IMAGE_LISTING
from detnas.records.model_card import ModelCard
from detnas.records.requests import ExportRequest
from detnas.records.results import DetectorResult
from detnas.records.verbs import Verb
from detnas.store import Store
from detnas.store.artifacts import load_record
from tests.detnas.searches.in_process import TUNED, Scheduler, entries, tiny

CARD = {"modelCard": {"license": "apache-2.0", "datasets": ["detection-datasets/coco"]}}


def _scoring(map_: float) -> Any:
    def answer(result: DetectorResult) -> DetectorResult:
        scores = tuple(one.model_copy(update={"map": map_}) for one in result.scores)
        return result.model_copy(update={"scores": scores})

    return answer


def _run(
    store: Store, tmp_path: Path, base: float, tuned: float
) -> tuple[StoredSearch, SearchState, ModelCard]:
    search = tiny(store, "one", {**TUNED, **CARD}, trials=6)
    answers = {Verb.BASE: _scoring(base), Verb.FINETUNE: _scoring(tuned)}
    files = {Verb.PREPARE: {IMAGE_LISTING: b"{}"}}  # as of a trainer that knows the card
    state = Scheduler(tmp_path, answers, files).run(search)
    key = keys.request_key(keys.export_folder(search.requests.search))
    request = load_record(store, key, ExportRequest)
    assert request is not None
    assert request.card is not None
    return search, state, request.card


@pytest.mark.parametrize(("tuned", "last"), [(0.9, ["fine-tuning"]), (0.01, [])])
def test_card_has_every_step_from_the_base_to_the_exported_student(
    store: Store, tmp_path: Path, tuned: float, last: list[str]
) -> None:
    search, state, card = _run(store, tmp_path, base=0.1, tuned=tuned)
    base, *trials = (step for step in card.lineage if step.did != "fine-tuning")
    assert (base.did, base.trial, base.map) == ("base", None, 0.1)
    assert [step.did for step in card.lineage[1 + len(trials) :]] == last
    by_number = {entry.index: entry for entry in entries(search, state)}
    for step, before in zip(trials, [None, *trials], strict=False):
        assert step.trial is not None
        entry = by_number[step.trial]
        assert entry.proposal.parent == (before.trial if before else None)
        assert (step.h, step.flops) == (entry.h, entry.flops)
    assert state.history.summary.best is not None
    assert trials[-1].trial == state.history.summary.best.index
    assert card.score.map == (0.9 if last else card.lineage[-1].map)


def test_card_of_the_base_has_no_lineage_and_the_manifests_licence(
    store: Store, tmp_path: Path
) -> None:
    _, _, card = _run(store, tmp_path, base=0.99, tuned=0.01)
    assert card.lineage == ()
    assert card.score == card.base_score
    assert (card.license, card.datasets) == ("apache-2.0", ("detection-datasets/coco",))
