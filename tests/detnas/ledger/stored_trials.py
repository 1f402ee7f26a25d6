"""Trials of a search as its jobs write them into the store."""

from detnas.ledger import History, load_history
from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.records.requests import StudentRequest
from detnas.records.results import DetectorResult, Outcome
from detnas.records.settings import DataLocation, Training
from detnas.store import Store
from detnas.store.artifacts import create_record
from tests.detnas.trials import ARCHITECTURE, BASE, LARGE, SMALL, failure, proposal, result

FOLDER = "local/searches/test-12345678"


def request_of(proposed: Proposal) -> StudentRequest:
    weights = result(0).weights
    return StudentRequest.model_validate(
        {
            "key": keys.trial_folder(FOLDER, proposed.index),
            "seed": proposed.seed,
            "data": DataLocation(root="data", train="train.json", val="val.json"),
            "classes": ("one", "two", "three"),
            "detector": BASE.detector,
            "resolutions": (SMALL, LARGE),
            "training": Training.model_validate(
                {"epochs": 1, "learning_rate": "0.01", "batch_size": 4}
            ),
            "trial": proposed,
            "parent": ARCHITECTURE,
            "parent_weights": weights,
            "teacher": proposed.teacher,
        }
    )


def start(store: Store, proposed: Proposal) -> None:
    folder = keys.trial_folder(FOLDER, proposed.index)
    create_record(store, keys.request_key(folder), request_of(proposed))


def finish(store: Store, index: int, found: DetectorResult) -> None:
    create_record(store, keys.result_key(keys.trial_folder(FOLDER, index)), found)


def result_number(index: int) -> DetectorResult:
    """Of every seventh trial a failure, of the others a score that their number decides."""
    if index % 7 == 3:
        return failure(index, Outcome.DIVERGED)
    return result(index, (0.2, 0.3 + (index * 37 % 100) / 500))


def write_trials(store: Store, trials: int, running: tuple[int, ...] = ()) -> None:
    for index in range(trials):
        start(store, proposal(index, parent=index - 1 if index else None))
        if index not in running:
            finish(store, index, result_number(index))


def load(store: Store) -> History:
    return load_history(store, FOLDER, BASE, top_k=5)
