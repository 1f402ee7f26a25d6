"""Trials as their own records have them, and which of these are to be believed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detnas.ledger.entry import LedgerEntry, is_whole, ledger_entry
from detnas.ledger.retention import needed
from detnas.ledger.summary import Summary, fold
from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.records.requests import StudentRequest
from detnas.records.results import DetectorResult, Result
from detnas.score import BaseFacts
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord

Verify = Callable[[str, Result], bool]


@dataclass(frozen=True, slots=True)
class TrialRecords:
    """One trial.

    Attributes:
        proposal: what is tried.
        result: what came of it; none while there is none.
    """

    proposal: Proposal
    result: DetectorResult | None

    @property
    def index(self) -> int:
        """Number of the trial."""
        return self.proposal.index

    def entry(self, base: BaseFacts) -> LedgerEntry | None:
        """What the search remembers of it; none while it has no result."""
        return None if self.result is None else ledger_entry(self.proposal, self.result, base)


def load_trial(store: Store, folder: str, index: int) -> TrialRecords | None:
    """Read a trial; none where it is not decided.

    Args:
        store: where the search lies.
        folder: key of the search's folder.
        index: number of the trial.

    Raises:
        CorruptRecord: a record is not what it should be.
    """
    trial = keys.trial_folder(folder, index)
    request = load_record(store, keys.request_key(trial), StudentRequest)
    if request is None:
        return None
    if request.trial is None or request.trial.index != index:
        raise CorruptRecord(
            f"{store.uri}/{keys.request_key(trial)} is not the request of trial {index}",
            "restore the object: records are never edited",
        )
    result = load_record(store, keys.result_key(trial), DetectorResult)
    return TrialRecords(request.trial, result)


def believed(
    trials: Sequence[TrialRecords], folder: str, base: BaseFacts, summary: Summary, verify: Verify
) -> dict[int, LedgerEntry]:
    """Return the finished ones by number, but for those whose result is not to be believed.

    The weights of one that no later step can ask for may have been collected since it was
    believed, so only the others are verified. Nor is one that is a parent already: whoever chose
    it believed it, and its children are not undone because somebody moved what it left.

    Args:
        trials: in no segment, and not in the summary.
        folder: key of the search's folder.
        base: the detector the search set out from.
        summary: all other trials.
        verify: asked, by folder, once for each.
    """
    results = {trial.index: trial.result for trial in trials if trial.result is not None}

    def stands(index: int) -> bool:
        return verify(keys.trial_folder(folder, index), results[index])

    entries: dict[int, LedgerEntry] = {}
    for trial in trials:
        result = trial.result
        if result is not None and (is_whole(result) or stands(trial.index)):
            entries[trial.index] = ledger_entry(trial.proposal, result, base)
    sure = {trial.proposal.parent for trial in trials}
    # Without one that is not believed, another may be among the best.
    while doubtful := needed(fold(summary, entries.values()), ()) & entries.keys() - sure:
        sure |= doubtful
        for index in sorted(doubtful):
            if not stands(index):
                del entries[index]
    return entries
