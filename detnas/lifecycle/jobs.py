"""Names and folders of a search's jobs."""

from detnas.lifecycle.reading.state import SearchState
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import DueJob
from detnas.records import keys
from detnas.records.verbs import Verb


def job_name(due: DueJob) -> str:
    """Return a job's name for people."""
    return {
        Verb.PREPARE: "data check",
        Verb.BASE: "base",
        Verb.POOL: f"pool phase {due.number}",
        Verb.EVALUATE: f"trial {due.number}",
        Verb.FINETUNE: "fine-tuning",
        Verb.EXPORT: "export",
    }[due.verb]


def job_folder(requests: SearchRequests, state: SearchState, due: DueJob) -> str:
    """Return the key of a job's folder; empty while that is not known."""
    search = requests.search
    if due.verb is Verb.POOL:
        if state.prepare is None:
            return ""
        return keys.pool_phase_folder(requests.pool_folder(state.prepare), due.number)
    stages = state.final_stages
    return {
        Verb.PREPARE: keys.prepare_folder(search),
        Verb.BASE: keys.base_folder(search),
        Verb.EVALUATE: keys.trial_folder(search, due.number),
        Verb.FINETUNE: stages.finetune_folder if stages else "",
        Verb.EXPORT: stages.export_folder if stages else "",
    }[due.verb]
