"""Names and folders of a search's jobs."""

from detnas.lifecycle.reading.state import SearchState
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import JobId
from detnas.records import keys
from detnas.records.verbs import Verb


def job_name(job_id: JobId) -> str:
    """Return a job's name for people."""
    return {
        Verb.PREPARE: "data check",
        Verb.BASE: "base",
        Verb.POOL: f"pool phase {job_id.number}",
        Verb.EVALUATE: f"trial {job_id.number}",
        Verb.SUBNETS: f"subnets from trial {job_id.number} on",
        Verb.EXTRACT: f"extraction of trial {job_id.number}",
        Verb.FINETUNE: "fine-tuning",
        Verb.EXPORT: "export",
    }[job_id.verb]


def job_folder(requests: SearchRequests, state: SearchState, job_id: JobId) -> str:
    """Return the key of a job's folder; empty while that is not known."""
    search = requests.search
    if job_id.verb is Verb.POOL:
        if state.prepare is None:
            return ""
        return keys.pool_phase_folder(requests.pool_folder(state.prepare), job_id.number)
    stages = state.final_stages
    return {
        Verb.PREPARE: keys.prepare_folder(search),
        Verb.BASE: keys.base_folder(search),
        Verb.EVALUATE: keys.trial_folder(search, job_id.number),
        Verb.SUBNETS: keys.trial_folder(search, job_id.number),
        Verb.EXTRACT: keys.extraction_folder(search, job_id.number),
        Verb.FINETUNE: stages.finetune_folder if stages else "",
        Verb.EXPORT: stages.export_folder if stages else "",
    }[job_id.verb]
