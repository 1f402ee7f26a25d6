"""Single trials in the store: a search's own, and those that it inherited."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detnas.ledger.entry import LedgerEntry, is_complete, ledger_entry
from detnas.ledger.summary import Summary, fold, needed
from detnas.records import keys
from detnas.records.proposal import Proposal, Step
from detnas.records.requests import StudentRequest
from detnas.records.results import DetectorResult, Result
from detnas.schema import Count, Schema
from detnas.score import Scorer
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord

Verify = Callable[[str, Result], bool]
"""Whether a result, in this folder, is verified: its artifacts are present and match."""


class Inherited(Schema):
    """`inherited/result.json`: another search's trials; the search's own are numbered after them.

    Written when everything that is inherited is stored in the search's folder.

    Attributes:
        source: URI of the other search's folder.
        trials: how many trials are inherited; they have the numbers from 0 on.
        tail: those of them that fill no segment of the ledger, in the order of their numbers.
    """

    source: str
    trials: Count
    tail: tuple[LedgerEntry, ...]


def load_inherited(store: Store, folder: str) -> Inherited | None:
    """Read what the search in a folder inherited; None if it did not begin with another's."""
    return load_record(store, keys.result_key(keys.inherited_folder(folder)), Inherited)


@dataclass(frozen=True, slots=True)
class TrialRecords:
    """The proposal of a trial, and its result; None while it is in flight."""

    proposal: Proposal
    result: DetectorResult | None

    @property
    def index(self) -> int:
        """Number of the trial."""
        return self.proposal.index

    def entry(self, base: Scorer) -> LedgerEntry | None:
        """The trial's ledger entry; None while it has no result."""
        return None if self.result is None else ledger_entry(self.proposal, self.result, base)


def load_trial(store: Store, folder: str, index: int) -> TrialRecords | None:
    """Read a trial of the search in a folder; None if it was not requested.

    Raises:
        CorruptRecord: a record is not valid.
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


def verified_entries(
    trials: Sequence[TrialRecords], folder: str, base: Scorer, summary: Summary, verify: Verify
) -> dict[int, LedgerEntry]:
    """Return the finished trials by number, without those whose result is not verified.

    A subnet has no files: there is nothing to verify.

    The weights of a trial that no later step needs may have been collected since it was verified,
    so only the others are verified. Nor is a trial that is a parent already: it was verified when
    it was drawn, and its children stay valid even if its files were moved since.

    Args:
        trials: in no segment, and not in the summary.
        folder: key of the search's folder.
        base: the detector that the search starts from.
        summary: all other trials.
        verify: called at most once for each, with its folder.
    """
    results = {trial.index: trial.result for trial in trials if trial.result is not None}

    def is_verified(index: int) -> bool:
        return verify(keys.trial_folder(folder, index), results[index])

    entries: dict[int, LedgerEntry] = {}
    for trial in trials:
        result, trained = trial.result, trial.proposal.step is not Step.SUBNET
        if result is None:
            continue
        if is_complete(result, trained=trained) or is_verified(trial.index):
            entries[trial.index] = ledger_entry(trial.proposal, result, base)
    trusted = {trial.proposal.parent for trial in trials}
    trusted |= {trial.index for trial in trials if trial.proposal.step is Step.SUBNET}
    # Without one that is not verified, another may be among the best.
    while unverified := needed(fold(summary, entries.values()), ()) & entries.keys() - trusted:
        trusted |= unverified
        for index in sorted(unverified):
            if not is_verified(index):
                del entries[index]
    return entries
