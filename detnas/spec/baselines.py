"""`spec.baselines`: simpler ways to a smaller detector, to be compared with the search's."""

from enum import StrEnum


class Baseline(StrEnum):
    """What the best student is compared with, beside the base; each trains for as long as it."""

    CONTINUED_BASE = "ContinuedBase"
    ONE_SHOT_PRUNED = "OneShotPruned"
    SCALED = "Scaled"

    @property
    def words(self) -> str:
        """Its name for people."""
        return {"ContinuedBase": "continued base", "OneShotPruned": "one-shot pruned"}.get(
            self, "scaled"
        )

    @property
    def folder(self) -> str:
        """The last part of the key of its folder, which also ends the name of its Job."""
        return {"ContinuedBase": "continued", "OneShotPruned": "pruned"}.get(self, "scaled")

    @property
    def number(self) -> int:
        """Its number among all of them, from 0, which a manifest does not change."""
        return list(Baseline).index(self)


BASELINES = (
    "Simpler ways to a smaller detector, trained before the comparison at the end, for as many "
    "epochs as the best student and its ancestors together: `ContinuedBase`, the base trained on "
    "without a teacher; `OneShotPruned`, the base's channels pruned once to the student's FLOPs, "
    "under the student's teacher; `Scaled`, every width of the base scaled by one ratio to these "
    "FLOPs, without a teacher. The schedule and the GPUs are those of `finetune`, or of a trial. "
    "They change nothing in the search, and are never exported."
)
"""The field's description."""

NO_BASE_TO_COMPARE = (
    "strategy TeacherPool evolves no student from the base, so baselines would train for no "
    "epochs; leave them out"
)

NOT_WITH_UPGRADE = (
    "an upgraded detector has layers that cost more than any base of the same size; leave out "
    "baselines or finetune.upgrade"
)
