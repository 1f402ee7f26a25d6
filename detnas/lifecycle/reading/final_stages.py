"""What comes after the trials of a search."""

from dataclasses import dataclass

from detnas.plan.candidate import Candidate, Winner
from detnas.records.results import DetectorResult, ExportResult, Outcome


@dataclass(frozen=True, slots=True)
class FinalStages:
    """What comes after the trials.

    Attributes:
        best: the best trial's student.
        finetune_folder: key of its fine-tuning's folder.
        finetune: the fine-tuning's result, if there is one.
        finetuned: the fine-tuned student, if it succeeded.
        winner: what is exported; none while the fine-tuning is awaited.
        export_folder: key of the winner's export.
        export: the export's result, if there is one.
    """

    best: Candidate
    finetune_folder: str
    finetune: DetectorResult | None = None
    finetuned: Candidate | None = None
    winner: Winner | None = None
    export_folder: str = ""
    export: ExportResult | None = None

    @property
    def lost_finetune(self) -> DetectorResult | None:
        """The fine-tuning's result, if it says nothing of the student: it was lost."""
        lost = self.finetune is not None and self.finetune.outcome is Outcome.INFRASTRUCTURE
        return self.finetune if lost else None
