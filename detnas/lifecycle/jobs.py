"""Names and folders of a search's jobs."""

from detnas.lifecycle.reading.state import SearchState
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import JobId
from detnas.records import keys
from detnas.records.verbs import FINAL_VERBS, Verb
from detnas.spec.baselines import Baseline


def job_name(job_id: JobId) -> str:
    """Return a job's name for people."""
    return {
        Verb.PREPARE: "data check",
        Verb.BASE: "base",
        Verb.POOL: f"pool phase {job_id.number}",
        Verb.EVALUATE: f"trial {job_id.number}",
        Verb.SUBNETS: f"subnets from trial {job_id.number} on",
        Verb.EXTRACT: f"extraction of trial {job_id.number}",
        Verb.FINETUNE: _finetuning(job_id.number),
        Verb.BASELINE: _baseline(job_id.number),
        Verb.TEST: "test",
        Verb.EXPORT: "export",
    }[job_id.verb]


def _baseline(number: int) -> str:
    return next((one.words for one in Baseline if one.number == number), "baseline")


def _finetuning(number: int) -> str:
    return f"fine-tuning of trial {number - 1}" if number else "fine-tuning"


def job_folder(requests: SearchRequests, state: SearchState, job_id: JobId) -> str:
    """Return the key of a job's folder; empty while that is not known."""
    search = requests.search
    if job_id.verb is Verb.POOL:
        if state.prepare is None:
            return ""
        return keys.pool_phase_folder(requests.pool_folder(state.prepare), job_id.number)
    if job_id.verb in FINAL_VERBS:
        stages = state.final_stages
        job = stages.job(job_id) if stages else None
        if job is None and stages and job_id.verb is Verb.FINETUNE:  # of an earlier best trial
            return keys.finetuning_folder(search, job_id.number)
        return job.folder if job else ""
    return {
        Verb.PREPARE: keys.prepare_folder(search),
        Verb.BASE: keys.base_folder(search),
        Verb.EVALUATE: keys.trial_folder(search, job_id.number),
        Verb.SUBNETS: keys.trial_folder(search, job_id.number),
        Verb.EXTRACT: keys.extraction_folder(search, job_id.number),
    }[job_id.verb]
