"""The verbs of jobs, with the kind of request and the type of result of each."""

from collections.abc import Mapping
from enum import StrEnum

from detnas.records.results import (
    DetectorResult,
    ExportResult,
    FinalTestResult,
    PoolPhaseResult,
    PrepareResult,
    Result,
    SubnetsResult,
)


class Verb(StrEnum):
    """The kind of a job: the first word of its command."""

    PREPARE = "prepare"
    BASE = "base"
    POOL = "pool"
    EVALUATE = "evaluate"
    SUBNETS = "subnets"
    EXTRACT = "extract"
    FINETUNE = "finetune"
    BASELINE = "baseline"
    TEST = "test"
    EXPORT = "export"

    @property
    def is_trial(self) -> bool:
        """Whether such a job evaluates what the search proposes: one trial, or several subnets."""
        return self in (Verb.EVALUATE, Verb.SUBNETS)


FINAL_VERBS = (Verb.FINETUNE, Verb.BASELINE, Verb.TEST, Verb.EXPORT)
"""Verbs of the jobs after the trials, in their order."""

VITAL_FINAL_VERBS = (Verb.TEST, Verb.EXPORT)
"""Those that the search cannot do without."""

ADDED_VERBS = (Verb.BASELINE, Verb.TEST)
"""Verbs that an earlier trainer does not know; a newer one names them when it prepares a search."""


REQUEST_KINDS: Mapping[Verb, str] = {
    Verb.PREPARE: "Prepare",
    Verb.BASE: "Base",
    Verb.POOL: "PoolPhase",
    Verb.EVALUATE: "Evaluate",
    Verb.SUBNETS: "Subnets",
    Verb.EXTRACT: "Extract",
    Verb.FINETUNE: "Finetune",
    Verb.BASELINE: "Baseline",
    Verb.TEST: "Test",
    Verb.EXPORT: "Export",
}
"""The `kind` of each verb's request."""

RESULT_TYPES: Mapping[Verb, type[Result]] = {
    Verb.PREPARE: PrepareResult,
    Verb.BASE: DetectorResult,
    Verb.POOL: PoolPhaseResult,
    Verb.EVALUATE: DetectorResult,
    Verb.SUBNETS: SubnetsResult,
    Verb.EXTRACT: DetectorResult,
    Verb.FINETUNE: DetectorResult,
    Verb.BASELINE: DetectorResult,
    Verb.TEST: FinalTestResult,
    Verb.EXPORT: ExportResult,
}
"""The type of each verb's result."""
