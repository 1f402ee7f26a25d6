"""Takes another search's finished trials over, into the new search's own folder.

Afterwards the new search needs the other one no more: that may go on, collect its weights, or be
deleted with all its data. First the weights that may still be wanted are copied; then it is fixed,
create-only, which trials are taken, so that every repetition takes the same however far the other
has come meanwhile; then their records are written; last, the result that makes them visible.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from detnas.ledger.entry import LedgerEntry
from detnas.ledger.history import read_entries
from detnas.ledger.segments import SEGMENT, Segment, segment_indices
from detnas.ledger.summary import Summary, fold, needed
from detnas.ledger.trials import Inherited, load_inherited
from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.record import StoredSearch, load_search_record
from detnas.lifecycle.warm_start.source import WarmStartSource
from detnas.reasons import ReasonCode
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.proposal import Proposal
from detnas.records.requests import StudentRequest
from detnas.records.results import DetectorResult, Outcome, PrepareResult
from detnas.schema import Count, Schema
from detnas.score import BaseFacts
from detnas.store.artifacts import copy_between, create_record, load_record
from detnas.store.errors import AlreadyExists, NotFound
from detnas.teachers import Teacher, TeacherSpace


class Taken(Schema):
    """`inherited/request.json`: which of the other search's trials are taken over.

    Attributes:
        source: URI of its folder.
        up_to: trials from this number on are not.
        left_out: nor are these, which had not ended or were lost to the infrastructure.
        kept: these with their weights, which were copied before.
    """

    source: str
    up_to: Count
    left_out: tuple[Count, ...]
    kept: tuple[Count, ...]


def begun_with(search: StoredSearch) -> str | None:
    """Return the URI of the search whose trials are being taken over; none before that began.

    One that lay in the search's own store is there also after the store was moved.
    """
    key = keys.request_key(keys.inherited_folder(search.requests.search))
    taken = load_record(search.store, key, Taken)
    if taken is None or search.requests.folder is None:  # a cluster's store is never moved
        return None if taken is None else taken.source
    source = "/".join(taken.source.rsplit("/", 3)[1:])
    own = load_search_record(search.store, source) is not None
    return f"{search.store.uri}/{source}" if own else taken.source


def has_inherited(search: StoredSearch) -> bool:
    """Whether the other search's trials are taken over already."""
    return load_inherited(search.store, search.requests.search) is not None


@dataclass(frozen=True, slots=True)
class TrialInheritance:
    """One search that goes on from another.

    Attributes:
        search: the new one.
        source: the other one, which fits.
        prepared: the new search's data.
    """

    search: StoredSearch
    source: WarmStartSource
    prepared: PrepareResult

    def run(self) -> None:
        """Take the trials over, or go on with that; done twice, it changes nothing.

        Raises:
            BlockedError: the other search was deleted meanwhile.
        """
        taken = self._taken()
        entries = self._renumbered(taken)
        for number in taken.kept:
            self._write_trial(number, entries)
        folder = self._folder
        taken_over = list(entries.values())
        whole = len(taken_over) // SEGMENT
        for number in range(whole):
            indices = segment_indices(number)
            segment = Segment(number=number, entries=taken_over[indices.start : indices.stop])
            self._write(keys.ledger_segment(folder, number), segment)
        inherited = Inherited(
            source=taken.source, trials=len(taken_over), tail=tuple(taken_over[whole * SEGMENT :])
        )
        self._write(keys.result_key(keys.inherited_folder(folder)), inherited)

    def _write(self, key: str, record: Schema) -> None:
        """Write a record where there is none.

        Not to write it again lets a process that dies soon after every start come to the end.
        """
        if self.search.store.size(key) is None:
            create_record(self.search.store, key, record)

    @property
    def _folder(self) -> str:
        return self.search.requests.search

    @property
    def _facts(self) -> BaseFacts:
        spec = self.search.requests.spec
        return BaseFacts(
            architecture=spec.base.resolve(),
            detector=spec.detector,
            classes=len(self.prepared.classes),
            base_resolution=spec.base_resolution,
            alpha=float(spec.search.alpha),
            beta=float(spec.search.beta),
        )

    def _taken(self) -> Taken:
        key = keys.request_key(keys.inherited_folder(self._folder))
        before = load_record(self.search.store, key, Taken)
        if before is not None:
            return before
        entries = self._entries()
        up_to = max((entry.index for entry in entries), default=-1) + 1
        numbers = {entry.index for entry in entries}
        taken = Taken(
            source=self.source.uri,
            up_to=up_to,
            left_out=tuple(index for index in range(up_to) if index not in numbers),
            kept=self._with_copied_weights(entries),
        )
        try:
            create_record(self.search.store, key, taken)
        except AlreadyExists:  # another process of this search was first
            return self._taken()
        return taken

    def _entries(self) -> list[LedgerEntry]:
        """Finished trials of the other search, scored anew: the weights of H may differ."""
        facts = self._facts
        found = read_entries(self.source.store, self.source.search, facts)
        return [_rescored(e, facts) for e in found if e.outcome is not Outcome.INFRASTRUCTURE]

    def _with_copied_weights(self, entries: Sequence[LedgerEntry]) -> tuple[int, ...]:
        """Copy the weights of all that may be a parent or taken away; return whose they are."""
        store = self.source.store
        present = set(store.list(f"{self.source.search}/"))
        top_k = self.search.requests.spec.search.top_k
        while True:
            wanted = needed(fold(Summary(top_k=top_k), _with_weights_in(present, entries)), ())
            kept = [e for e in entries if e.index in wanted and _lies_in(present, e)]
            try:
                for entry in kept:
                    self._copy_weights(entry)
            except NotFound:  # the other search has gone on, and collected them just now
                present = set(store.list(f"{self.source.search}/"))
                continue
            return tuple(entry.index for entry in kept)

    def _copy_weights(self, entry: LedgerEntry) -> None:
        assert entry.weights is not None
        copied = self._copied(entry.index, entry.weights)
        copy_between(self.source.store, entry.weights.key, self.search.store, copied)

    def _copied(self, number: int, weights: Artifact) -> Artifact:
        """Where a trial's weights are copied to; the number is the other search's."""
        name = weights.key.rpartition("/")[2]
        key = f"{keys.inherited_folder(self._folder)}/{number:04d}/{name}"
        return weights.model_copy(update={"key": key})

    def _renumbered(self, taken: Taken) -> dict[int, LedgerEntry]:
        """The trials as this search numbers them, by their number in the other one."""
        left_out, kept = set(taken.left_out), set(taken.kept)
        entries = [e for e in self._entries() if e.index < taken.up_to and e.index not in left_out]
        if len(entries) != taken.up_to - len(left_out):
            raise BlockedError(
                ReasonCode.WARM_START_MISSING,
                f"{taken.source}, which spec.warmStart.from names, lost trials while they were "
                "taken over",
                "restore it, or make a new search",
            )
        numbers = {entry.index: number for number, entry in enumerate(entries)}
        return {
            entry.index: entry.model_copy(
                update={
                    "proposal": self._as_ours(entry.proposal, numbers),
                    "weights": self._kept_weights(entry) if entry.index in kept else None,
                    "inherited": True,
                }
            )
            for entry in entries
        }

    def _kept_weights(self, entry: LedgerEntry) -> Artifact:
        assert entry.weights is not None
        return self._copied(entry.index, entry.weights)

    def _as_ours(self, proposal: Proposal, numbers: dict[int, int]) -> Proposal:
        space = self.search.requests.spec.teachers.space
        return proposal.model_copy(
            update={
                "index": numbers[proposal.index],
                "parent": None if proposal.parent is None else numbers[proposal.parent],
                "teacher": nearest(space, proposal.teacher),
            }
        )

    def _write_trial(self, number: int, entries: dict[int, LedgerEntry]) -> None:
        """Write a trial that may be a parent as if it were one of ours."""
        theirs = keys.trial_folder(self.source.search, number)
        request = load_record(self.source.store, keys.request_key(theirs), StudentRequest)
        result = load_record(self.source.store, keys.result_key(theirs), DetectorResult)
        entry = entries[number]
        if request is None or result is None or entry.weights is None:
            raise BlockedError(
                ReasonCode.WARM_START_MISSING,
                f"trial {number} of {self.source.uri} was deleted while it was taken over",
                "restore it, or make a new search",
            )
        ours = keys.trial_folder(self._folder, entry.index)
        asked = request.model_copy(update={"key": ours, "trial": entry.proposal})
        found = result.model_copy(update={"files": {"weights": entry.weights}})
        self._write(keys.request_key(ours), asked)
        self._write(keys.result_key(ours), found)


def nearest(space: TeacherSpace, teacher: Teacher) -> Teacher:
    """Return the teacher of a space that is most like one of another space."""
    ranges = zip(space.min_depths, teacher.depths, space.max_depths, strict=True)
    depths = tuple(min(max(low, depth), high) for low, depth, high in ranges)
    widths = tuple(_nearest_width(space, width) for width in teacher.widths)
    return Teacher.model_validate({"depths": depths, "widths": widths})


def _nearest_width(space: TeacherSpace, width: Decimal) -> Decimal:
    return min(space.widths, key=lambda one: (abs(one - width), one))


def _rescored(entry: LedgerEntry, facts: BaseFacts) -> LedgerEntry:
    if entry.flops is None:
        return entry
    objective, flops = facts.objective, entry.flops
    scores = tuple(
        score.model_copy(update={"h": objective.h(score.map, flops, score.resolution)})
        for score in entry.scores
    )
    # Validated anew: the copy of an entry would keep its best score of before.
    return LedgerEntry.model_validate({**dict(entry), "scores": scores, "inherited": False})


def _lies_in(present: set[str], entry: LedgerEntry) -> bool:
    return entry.weights is not None and entry.weights.key in present


def _with_weights_in(present: set[str], entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    return [e if _lies_in(present, e) else e.model_copy(update={"weights": None}) for e in entries]
