"""Inherits another search's finished trials and base, into the new search's own folder.

Afterwards the new search does not need the other one: that may continue, collect its weights, or be
deleted with all its data. First the weights that may be needed are copied; then the selection of
trials is recorded, create-only, so that every repetition inherits the same ones however far the
other search has come since; then the trials' records are written; last, the result that makes them
visible.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from detnas.ledger.entry import LedgerEntry
from detnas.ledger.estimates import TYPICAL_SPREAD, expected, with_estimates
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
from detnas.records.proposal import Prior, Proposal
from detnas.records.requests import StudentRequest
from detnas.records.results import DetectorResult, Outcome, PrepareResult
from detnas.schema import Count, Schema
from detnas.score import ResolutionScore, Scorer
from detnas.spec.search import Selection
from detnas.store.artifacts import copy_between, create_record, load_record
from detnas.store.errors import AlreadyExists, NotFound
from detnas.store.in_parallel import in_parallel
from detnas.teachers import Teacher, TeacherSpace


class InheritanceRequest(Schema):
    """`inherited/request.json`: which of the other search's trials are inherited.

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


def recorded_source(search: StoredSearch) -> str | None:
    """Return the URI of the search whose trials are being inherited; None before that began.

    A source in the search's own store is found there even if the store was moved.
    """
    key = keys.request_key(keys.inherited_folder(search.requests.search))
    request = load_record(search.store, key, InheritanceRequest)
    if request is None or search.requests.folder is None:  # a cluster's store is never moved
        return None if request is None else request.source
    source = "/".join(request.source.rsplit("/", 3)[1:])
    own = load_search_record(search.store, source) is not None
    return f"{search.store.uri}/{source}" if own else request.source


def has_inherited(search: StoredSearch) -> bool:
    """Whether the other search's trials are inherited already."""
    return load_inherited(search.store, search.requests.search) is not None


def base_has_begun(search: StoredSearch) -> bool:
    """Whether the new search has a base, or trains one."""
    folder = keys.base_folder(search.requests.search)
    begun = (keys.request_key(folder), keys.result_key(folder))
    return any(search.store.size(key) is not None for key in begun)


def inherit_base(search: StoredSearch, source: WarmStartSource) -> None:
    """Inherit the other search's base if the settings of both are equal.

    Does nothing if ours has begun or the other has none: then ours is trained.
    """
    if base_has_begun(search):
        return
    ours, theirs = keys.base_folder(search.requests.search), keys.base_folder(source.search)
    wanted, trained = search.requests.spec.base, source.record.manifest.spec.base
    result = load_record(source.store, keys.result_key(theirs), DetectorResult)
    if wanted.model_copy(update={"gpus": trained.gpus}) != trained or result is None:
        return
    if result.outcome is not Outcome.SUCCEEDED:
        return
    weights = result.weights.model_copy(
        update={"key": f"{ours}/{result.weights.key.rpartition('/')[2]}"}
    )
    try:
        copy_between(source.store, result.weights.key, search.store, weights)
    except NotFound:
        return
    # It took no time of this search, whose budget is not charged for it.
    update = {"files": {"weights": weights}, "seconds": {}, "message": f"from {source.uri}"}
    create_record(search.store, keys.result_key(ours), result.model_copy(update=update))


@dataclass(frozen=True, slots=True)
class TrialInheritance:
    """Lets one search inherit the trials of another.

    Attributes:
        search: the new one.
        source: the other one, which fits.
        prepared: the new search's data.
    """

    search: StoredSearch
    source: WarmStartSource
    prepared: PrepareResult

    def run(self) -> None:
        """Inherit the trials, or continue to do so; idempotent.

        Raises:
            BlockedError: the other search was deleted in the meantime.
        """
        request = self._request()
        renumbered = self._renumbered(request)
        for number in request.kept:
            self._write_trial(number, renumbered)
        folder, entries = self._folder, list(renumbered.values())
        complete = len(entries) // SEGMENT
        for number in range(complete):
            indices = segment_indices(number)
            segment = Segment(number=number, entries=entries[indices.start : indices.stop])
            self._write(keys.ledger_segment(folder, number), segment)
        inherited = Inherited(
            source=request.source, trials=len(entries), tail=tuple(entries[complete * SEGMENT :])
        )
        self._write(keys.result_key(keys.inherited_folder(folder)), inherited)

    def _write(self, key: str, record: Schema) -> None:
        """Write a record unless it exists, so that a process that dies often gets further."""
        if self.search.store.size(key) is None:
            create_record(self.search.store, key, record)

    @property
    def _folder(self) -> str:
        return self.search.requests.search

    @property
    def _scorer(self) -> Scorer:
        requests = self.search.requests
        base = load_record(
            self.source.store, keys.result_key(keys.base_folder(self.source.search)), DetectorResult
        )
        scores = () if base is None else base.scores
        return requests.scorer(self.prepared, requests.spec.base.resolve(), scores)

    def _request(self) -> InheritanceRequest:
        key = keys.request_key(keys.inherited_folder(self._folder))
        before = load_record(self.search.store, key, InheritanceRequest)
        if before is not None:
            return before
        entries = self._entries()
        up_to = max((entry.index for entry in entries), default=-1) + 1
        numbers = {entry.index for entry in entries}
        if self.search.requests.spec.search.counts_latency:
            self._copy_latencies()
        request = InheritanceRequest(
            source=self.source.uri,
            up_to=up_to,
            left_out=tuple(index for index in range(up_to) if index not in numbers),
            kept=self._with_copied_weights(entries),
        )
        try:
            create_record(self.search.store, key, request)
        except AlreadyExists:  # another process of this search was first
            return self._request()
        return request

    def _entries(self) -> list[LedgerEntry]:
        """Finished trials of the other search, scored again: the weights of H may differ."""
        scorer = self._scorer
        found = read_entries(self.source.store, self.source.search, scorer)
        entries = [_rescored(e, scorer) for e in found if e.outcome is not Outcome.INFRASTRUCTURE]
        is_shrunk = self.search.requests.spec.search.selection is Selection.SHRUNK
        return _estimated(entries) if is_shrunk else entries

    def _with_copied_weights(self, entries: Sequence[LedgerEntry]) -> tuple[int, ...]:
        """Copy the weights of trials that may be parents or exported; return the trials."""
        store = self.source.store
        present = set(store.list(f"{self.source.search}/"))
        top_k = self.search.requests.spec.search.max_parents
        while True:
            wanted = needed(fold(Summary(top_k=top_k), _with_weights_in(present, entries)), ())
            kept = [e for e in entries if e.index in wanted and _is_in(present, e)]
            try:
                for entry in kept:
                    self._copy_weights(entry)
            except NotFound:  # the other search has just collected them
                present = set(store.list(f"{self.source.search}/"))
                continue
            return tuple(entry.index for entry in kept)

    def _copy_weights(self, entry: LedgerEntry) -> None:
        copy = self._copy_of(entry)
        assert entry.weights is not None
        copy_between(self.source.store, entry.weights.key, self.search.store, copy)

    def _copy_latencies(self) -> None:
        """Copy what was measured, so that architectures keep their values, and the device."""
        theirs = keys.latencies_folder(self.source.search)
        in_parallel(self._copy_latency, list(self.source.store.list(f"{theirs}/")))

    def _copy_latency(self, key: str) -> None:
        stored = self.source.store.get(key)
        name = key.rpartition("/")[2]
        if stored is not None:
            with suppress(AlreadyExists):
                ours = f"{keys.latencies_folder(self._folder)}/{name}"
                self.search.store.put_if_absent(ours, stored.data)

    def _copy_of(self, entry: LedgerEntry) -> Artifact:
        """The copy of a trial's weights, in a folder with the other search's number."""
        assert entry.weights is not None
        name = entry.weights.key.rpartition("/")[2]
        key = keys.inherited_weights_key(self._folder, entry.index, name)
        return entry.weights.model_copy(update={"key": key})

    def _renumbered(self, request: InheritanceRequest) -> dict[int, LedgerEntry]:
        """The trials with this search's numbers, by their number in the other one."""
        left_out, kept, up_to = set(request.left_out), set(request.kept), request.up_to
        entries = [e for e in self._entries() if e.index < up_to and e.index not in left_out]
        if len(entries) != up_to - len(left_out):
            raise BlockedError(
                ReasonCode.WARM_START_MISSING,
                f"{request.source}, which spec.warmStart.from names, lost trials while they were "
                "inherited",
                "restore it, or make a new search",
            )
        numbers = {entry.index: number for number, entry in enumerate(entries)}
        return {
            entry.index: entry.model_copy(
                update={
                    "proposal": self._as_ours(entry.proposal, numbers),
                    "weights": self._copy_of(entry) if entry.index in kept else None,
                    "inherited": True,
                }
            )
            for entry in entries
        }

    def _as_ours(self, proposal: Proposal, numbers: dict[int, int]) -> Proposal:
        space = self.search.requests.spec.teachers.search_space
        return proposal.model_copy(
            update={
                "index": numbers[proposal.index],
                "parent": None if proposal.parent is None else numbers[proposal.parent],
                "teacher": nearest(space, proposal.teacher),
                "prior": None,
            }
        )

    def _write_trial(self, number: int, entries: dict[int, LedgerEntry]) -> None:
        """Write a trial that may be a parent as one of ours."""
        theirs = keys.trial_folder(self.source.search, number)
        request = load_record(self.source.store, keys.request_key(theirs), StudentRequest)
        result = load_record(self.source.store, keys.result_key(theirs), DetectorResult)
        entry = entries[number]
        if request is None or result is None or entry.weights is None:
            raise BlockedError(
                ReasonCode.WARM_START_MISSING,
                f"trial {number} of {self.source.uri} was deleted while it was inherited",
                "restore it, or make a new search",
            )
        ours = keys.trial_folder(self._folder, entry.index)
        self._write(
            keys.request_key(ours),
            request.model_copy(update={"key": ours, "trial": entry.proposal}),
        )
        self._write(
            keys.result_key(ours),
            result.model_copy(update={"files": {"weights": entry.weights}}),
        )


def nearest(space: TeacherSpace, teacher: Teacher) -> Teacher:
    """Return the teacher of a space that is nearest to a teacher of another space."""
    ranges = zip(space.min_depths, teacher.depths, space.max_depths, strict=True)
    depths = tuple(min(max(low, depth), high) for low, depth, high in ranges)
    widths = tuple(_nearest_width(space, width) for width in teacher.widths)
    return Teacher.model_validate({"depths": depths, "widths": widths})


def _nearest_width(space: TeacherSpace, width: Decimal) -> Decimal:
    return min(space.widths, key=lambda one: (abs(one - width), one))


def _rescored(entry: LedgerEntry, scorer: Scorer) -> LedgerEntry:
    if entry.flops is None:
        return entry
    objective, flops = scorer.objective, entry.flops
    scores = tuple(
        score.model_copy(
            update={
                "h": objective.h(
                    score.map, scorer.relative_cost(flops, score.latency), score.resolution
                ),
                "estimate": None,
                "latency": score.latency if scorer.by_latency else None,
            }
        )
        for score in entry.scores
    )
    return _with_scores(entry, scores)


def _estimated(entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Trials in the order of their numbers, with estimates that follow from their lineages."""
    scores: dict[int | None, tuple[ResolutionScore, ...]] = {}
    for entry in entries:
        parent = expected(scores.get(entry.proposal.parent, ()))
        prior = Prior(parent=parent, spread=TYPICAL_SPREAD)
        scores[entry.index] = with_estimates(entry.scores, prior)
    return [_with_scores(entry, scores[entry.index]) for entry in entries]


def _with_scores(entry: LedgerEntry, scores: Sequence[ResolutionScore]) -> LedgerEntry:
    # Validated again: a copy of the entry would keep its earlier best score.
    return LedgerEntry.model_validate({**dict(entry), "scores": scores, "inherited": False})


def _is_in(present: set[str], entry: LedgerEntry) -> bool:
    return entry.weights is not None and entry.weights.key in present


def _with_weights_in(present: set[str], entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    return [e if _is_in(present, e) else e.model_copy(update={"weights": None}) for e in entries]
