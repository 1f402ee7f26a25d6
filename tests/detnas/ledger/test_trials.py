"""Which results are verified when trials are read one by one."""

from collections.abc import Collection
from dataclasses import dataclass, field

import pytest

from detnas.errors import UserError
from detnas.ledger import LedgerEntry, Summary
from detnas.ledger.trials import TrialRecords, verified_entries
from detnas.records import keys
from detnas.records.results import Outcome, Result
from tests.detnas.trials import BASE, failure, proposal, result, succeeded, summary_of

FOLDER = "local/searches/test-12345678"
FOLDERS = {keys.trial_folder(FOLDER, index): index for index in range(100)}


@dataclass
class Verifying:
    """Refuses some trials, and remembers which it was called for."""

    wrong: Collection[int] = ()
    called: list[int] = field(default_factory=list)

    def __call__(self, folder: str, _result: Result) -> bool:
        self.called.append(FOLDERS[folder])
        return self.called[-1] not in self.wrong


def trial(index: int, mean_ap: float | None = None, parent: int | None = None) -> TrialRecords:
    found = None if mean_ap is None else result(index, (mean_ap / 2, mean_ap))
    return TrialRecords(proposal(index, parent), found)


def entries_of(
    trials: list[TrialRecords], verify: Verifying, others: Summary | None = None
) -> dict[int, LedgerEntry]:
    return verified_entries(trials, FOLDER, BASE, others or Summary(top_k=1), verify)


def test_verify_is_not_called_without_artifacts() -> None:
    verify = Verifying()
    lost = TrialRecords(proposal(1), failure(1, Outcome.INFRASTRUCTURE))
    assert [*entries_of([trial(0), lost], verify)] == [1]
    assert verify.called == []


def test_a_trial_that_is_not_verified_counts_as_absent() -> None:
    verify = Verifying({0})
    assert entries_of([trial(0, 0.4), trial(1)], verify) == {}
    assert verify.called == [0]


def test_weights_of_a_trial_that_is_not_needed_are_not_verified() -> None:
    verify = Verifying({0})
    assert [*entries_of([trial(0, 0.2), trial(1, 0.4)], verify)] == [0, 1]
    assert verify.called == [1]


def test_weights_of_a_trial_below_those_in_the_summary_are_not_verified() -> None:
    verify = Verifying({1})
    others = summary_of([succeeded(proposal(0), 0.1, 0.4)], top_k=1)
    assert [*entries_of([trial(1, 0.2)], verify, others)] == [1]
    assert verify.called == []


def test_the_next_best_after_one_that_is_not_verified_is_verified_too() -> None:
    verify = Verifying({0, 1})
    assert [*entries_of([trial(0, 0.4), trial(1, 0.3), trial(2, 0.2)], verify)] == [2]
    assert verify.called == [0, 1, 2]


def test_a_parent_is_not_verified_again() -> None:
    verify = Verifying({0})
    assert [*entries_of([trial(0, 0.4), trial(1, parent=0)], verify)] == [0]
    assert verify.called == []


@pytest.mark.parametrize("lacking", [{"architecture": None}, {"scores": ()}, {"files": {}}])
def test_an_incomplete_result_is_never_accepted(lacking: dict[str, object]) -> None:
    torn = TrialRecords(proposal(0), result(0).model_copy(update=lacking))
    assert entries_of([torn, trial(1, parent=0)], Verifying({0})) == {}
    with pytest.raises(UserError, match="without architecture, scores or weights"):
        entries_of([torn], Verifying())


def test_entry_of_a_trial_without_result_is_none() -> None:
    assert TrialRecords(proposal(0), None).entry(BASE) is None
