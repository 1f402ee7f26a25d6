"""How far a search has come by its status, and what of that its store lacks."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from detnas.plan.requests import SearchRequests
from detnas.plan.stages import AFTER_SETUP, Phase
from detnas.records import keys
from detnas.records.results import Outcome
from detnas.resource.status import MAX_COMPARED, OUTCOME_FIELDS
from detnas.spec.baselines import Baseline
from detnas_operator.cluster.objects import Status

_READY = "Ready"

TUNED = ", fine-tuned"
"""End of a fine-tuned student's name in `status.compared`."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How far a search has come: by its status, or by the store.

    Attributes:
        record: its search.json is written.
        prepared: the data set is checked.
        base: the base is trained.
        phases: phases of the pool that are trained.
        trials: its own trials that have ended.
        export: key of the exported student's folder; empty while there is none.
        chosen: by the status, the trial whose student was exported; by the store, None.
        phase: by the status; empty by the store.
        unextracted: by the store, the best trial if its subnet is to be extracted.
        untuned: by the store, the best trial if its fine-tuning has no result.
        trained: by the status, the fine-tuned students and baselines whose training had ended; by
            the store, those whose training has no result.
        tested: by the status, the detectors that were scored on the test images; by the store,
            those that are to be scored there.
    """

    record: bool = False
    prepared: bool = False
    base: bool = False
    phases: int = 0
    trials: int = 0
    export: str = ""
    chosen: int | None = None
    phase: str = ""
    unextracted: int | None = None
    untuned: int | None = None
    trained: frozenset[str] = frozenset()
    tested: frozenset[str] = frozenset()


def lost(reported: Finished, stored: Finished) -> Iterator[str]:
    """Yield what is finished according to the status (``reported``) and missing from the store."""
    if reported.prepared and not stored.prepared:
        yield "the data check (prepare/result.json)"
    if reported.base and not stored.base:
        yield "the base (base/result.json)"
    if (gone := reported.phases - stored.phases) > 0:
        yield f"{gone} of {reported.phases} trained phases of the teacher pool"
    if (gone := reported.trials - stored.trials) > 0:
        yield f"{gone} of {reported.trials} finished trials (trials/NNNN/result.json)"
    if _had_ended(reported, stored, stored.unextracted, _AFTER_EXTRACTION):
        yield f"the extracted subnet of trial {stored.unextracted}"
    yield from _lost_trainings(reported, stored)
    if _were_tested(reported.tested, stored.tested):
        yield "the scores on the test images (test/result.json)"
    if reported.export and not stored.export:
        yield f"the exported student ({reported.export}/result.json)"
    if reported.record and not stored.record:
        yield keys.SEARCH_RECORD


_AFTER_FINETUNING = frozenset({Phase.COMPARING, Phase.EXPORTING, Phase.SUCCEEDED})
_AFTER_EXTRACTION = _AFTER_FINETUNING | {Phase.FINETUNING}


def _had_ended(
    reported: Finished, stored: Finished, best: int | None, phases: Collection[str]
) -> bool:
    """Whether a job of the best trial had ended: it may have become the best after the status.

    Args:
        reported: by the status.
        stored: by the store.
        best: the best trial, if its job has no result.
        phases: those after the job.
    """
    if best is None:
        return False
    if reported.chosen is not None:
        return reported.chosen == best
    return reported.phase in phases and reported.trials == stored.trials


def _lost_trainings(reported: Finished, stored: Finished) -> Iterator[str]:
    gone = reported.trained & stored.trained
    if _had_ended(reported, stored, stored.untuned, _AFTER_FINETUNING):
        gone |= {f"trial {stored.untuned}{TUNED}"}
    for name in sorted(gone):
        student = name.removesuffix(TUNED)
        yield f"the baseline '{name}'" if student == name else f"the fine-tuning of {student}"


def _were_tested(reported: Collection[str], due: Collection[str]) -> bool:
    """Whether the detectors that are to be tested were: with others among them it is a new test."""
    named = min(len(due), MAX_COMPARED)  # the status has no more
    return bool(due) and len(reported) == named and set(reported) <= set(due)


def finished_by_status(status: Status, requests: SearchRequests, root: str) -> Finished:
    """Return what is finished according to a search's status; ``root`` is its store's URI."""
    counted = status.get("trials") or {}
    trials = sum(counted.get(outcome, 0) for outcome in OUTCOME_FIELDS.values())
    exported = status.get("exported") or {}
    uri = str(exported.get("uri") or "")
    phase = status.get("phase", "")
    base = "base" in status or trials > 0 or phase in AFTER_SETUP
    compared = status.get("compared") or ()
    return Finished(
        record=bool(status.get("folder")),
        prepared=base or bool((status.get("teachers") or {}).get("pool")),
        base=base,
        phases=len(requests.spec.teachers.trained_phases) if base else _phases(status, requests),
        trials=trials,
        export=uri.removeprefix(f"{root}/") if uri.startswith(f"{root}/") else "",
        chosen=exported.get("trial"),
        phase=phase,
        trained=frozenset(filter(None, map(_trained, compared))),
        tested=frozenset(one["name"] for one in compared if "testMap" in one),
    )


_FINAL_FAILURES = frozenset(Outcome) - {Outcome.SUCCEEDED, Outcome.INFRASTRUCTURE}
"""Of which a job's result is not repeated."""


def _trained(compared: Mapping[str, Any]) -> str:
    """The training that a row of `status.compared` shows to have ended; empty if it shows none."""
    name, failed = str(compared["name"]), compared.get("message") in _FINAL_FAILURES
    if name in _BASELINES:
        return name if failed or "h" in compared else ""
    if failed:
        return f"{name}{TUNED}"
    return name if name.endswith(TUNED) else ""


_BASELINES = frozenset(one.words for one in Baseline)


def _phases(status: Status, requests: SearchRequests) -> int:
    progress = str((status.get("teachers") or {}).get("progress", ""))
    if progress == _READY:
        return len(requests.spec.teachers.trained_phases)
    done = progress.partition("/")[0]
    trained = int(done) if done.isdecimal() else 0
    # Earlier versions counted the phase that failed the search, which is set aside on resuming.
    return max(0, trained - (status.get("phase") == Phase.FAILED))
