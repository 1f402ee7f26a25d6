"""Results that may have come while nobody waited are verified, and only as far as they can be."""

from collections.abc import Collection
from dataclasses import dataclass, field

import pytest

from detnas.errors import UserError
from detnas.ledger import LedgerEntry, Summary
from detnas.ledger.trials import TrialRecords, believed
from detnas.records import keys
from detnas.records.results import DetectorResult, Outcome, Result
from tests.detnas.trials import BASE, failure, folded, proposal, result, succeeded

FOLDER = "local/searches/test-12345678"
FOLDERS = {keys.trial_folder(FOLDER, index): index for index in range(100)}


@dataclass
class Verifying:
    """Does not believe some trials, and remembers which it was asked of."""

    wrong: Collection[int] = ()
    asked: list[int] = field(default_factory=list)

    def __call__(self, folder: str, _result: Result) -> bool:
        self.asked.append(FOLDERS[folder])
        return self.asked[-1] not in self.wrong


def trial(index: int, mean_ap: float | None = None, parent: int | None = None) -> TrialRecords:
    found = None if mean_ap is None else result(index, (mean_ap / 2, mean_ap))
    return TrialRecords(proposal(index, parent), found)


def found(
    trials: list[TrialRecords], verify: Verifying, others: Summary | None = None
) -> dict[int, LedgerEntry]:
    return believed(trials, FOLDER, BASE, others or Summary(1), verify)


def test_nothing_to_verify_asks_nothing() -> None:
    verify = Verifying()
    lost = TrialRecords(proposal(1), failure(1, Outcome.INFRASTRUCTURE))
    assert [*found([trial(0), lost], verify)] == [1]
    assert verify.asked == []


def test_one_that_is_not_believed_is_not_there() -> None:
    verify = Verifying({0})
    assert found([trial(0, 0.4), trial(1)], verify) == {}
    assert verify.asked == [0]


def test_weights_that_nobody_can_ask_for_may_be_gone() -> None:
    verify = Verifying({0})
    assert [*found([trial(0, 0.2), trial(1, 0.4)], verify)] == [0, 1]
    assert verify.asked == [1]


def test_so_may_those_of_one_that_all_the_others_surpass() -> None:
    verify = Verifying({1})
    others = folded([succeeded(proposal(0), 0.1, 0.4)], top_k=1)
    assert [*found([trial(1, 0.2)], verify, others)] == [1]
    assert verify.asked == []


def test_who_takes_the_place_of_one_that_is_not_believed_is_verified_too() -> None:
    verify = Verifying({0, 1})
    assert [*found([trial(0, 0.4), trial(1, 0.3), trial(2, 0.2)], verify)] == [2]
    assert verify.asked == [0, 1, 2]


def test_a_parent_was_believed_by_who_chose_it() -> None:
    verify = Verifying({0})
    assert [*found([trial(0, 0.4), trial(1, parent=0)], verify)] == [0]
    assert verify.asked == []


@pytest.mark.parametrize("lacking", [{"architecture": None}, {"scores": ()}, {"files": {}}])
def test_one_that_lacks_what_it_says_is_never_believed(lacking: dict[str, object]) -> None:
    torn = TrialRecords(proposal(0), result(0).model_copy(update=lacking))
    assert found([torn, trial(1, parent=0)], Verifying({0})) == {}
    with pytest.raises(UserError, match="without architecture, scores or weights"):
        found([torn], Verifying())


def test_an_entry_tells_the_time_of_all_attempts_and_never_less_than_of_the_last() -> None:
    assert _seconds(result(0), {}) == 30
    assert _seconds(result(0), {"training": 4000.0, "evaluating": 200.0}) == 4200
    assert _seconds(result(0), {"training": 20.0}) == 30


@pytest.mark.parametrize("told", [-1e9, float("inf"), float("nan")])
def test_a_time_that_can_not_be_is_not_believed(told: float) -> None:
    assert _seconds(result(0), {"training": told}) == 30
    assert _seconds(result(0), {"training": 1e300}) < 1e9


def _seconds(last: DetectorResult, told: dict[str, float]) -> float:
    entry = TrialRecords(proposal(0), last.model_copy(update={"seconds": told})).entry(BASE)
    assert entry is not None
    return entry.seconds


def test_a_trial_without_a_result_has_no_entry() -> None:
    assert TrialRecords(proposal(0), None).entry(BASE) is None
