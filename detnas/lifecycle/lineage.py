"""The lineage of what a search exports, for its model card."""

from detnas.ledger.entry import LedgerEntry, lineage
from detnas.ledger.history import read_entries
from detnas.plan.step_text import step_text
from detnas.plan.winner import TrainedDetector
from detnas.records.model_card import LineageStep
from detnas.score import Scorer
from detnas.spec.teachers import Teachers
from detnas.store import Store


def exported_lineage(
    store: Store, search: str, detector: TrainedDetector, scorer: Scorer, teachers: Teachers
) -> tuple[LineageStep, ...]:
    """From the base to the exported detector, a step each; empty if that is the base.

    Args:
        store: where the search is stored.
        search: key of its folder.
        detector: a student, fine-tuned or not, or the base.
        scorer: scores against the base.
        teachers: of the search.

    Raises:
        UserError: a trial of the lineage has no result any more.
    """
    if detector.trial is None:
        return ()
    entries = {entry.index: entry for entry in read_entries(store, search, scorer)}
    trials = lineage(entries, detector.trial)
    steps = (_of_base(scorer), *(_of_trial(one, teachers) for one in trials))
    return (*steps, _of_finetuning(detector, scorer)) if detector.tuned else steps


def _of_base(scorer: Scorer) -> LineageStep:
    top = scorer.score(scorer.architecture, scorer.scores).best
    return LineageStep(did="base", h=top.h, map=top.map, flops=scorer.flops)


def _of_trial(entry: LedgerEntry, teachers: Teachers) -> LineageStep:
    assert entry.best is not None
    assert entry.flops is not None
    return LineageStep(
        trial=entry.index,
        did=step_text(entry.proposal, teachers),
        h=entry.best.h,
        map=entry.best.map,
        flops=entry.flops,
    )


def _of_finetuning(student: TrainedDetector, scorer: Scorer) -> LineageStep:
    result = student.result
    assert result.architecture is not None
    scored = scorer.score(result.architecture, result.scores, student.teacher, result.shape)
    did = "upgrade and fine-tuning" if result.is_upgraded else "fine-tuning"
    return LineageStep(did=did, h=student.score, map=student.map, flops=scored.flops)
