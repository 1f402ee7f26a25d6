"""When a search's folder last changed, as far as the records in it say."""

from datetime import datetime

from detnas.lifecycle.attempts import newest_progress
from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.status import job_folder
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import DueJob, Verb
from detnas.store import Store


def last_heard(
    store: Store, requests: SearchRequests, state: SearchState, due: tuple[DueJob, ...]
) -> datetime | None:
    """Return when a job of the search last wrote a result or its progress; none if none did.

    What a pool's phases wrote may have been for another search, so it does not count.

    Args:
        store: where the search lies.
        requests: names its folders.
        state: where it stands.
        due: jobs that run, or would if the search were run.
    """
    ending = state.ending
    later = (ending.finetune, ending.export) if ending else ()
    times = [result.finished for result in (state.prepare, state.base, *later) if result]
    summary = state.history.summary
    entries = [*summary.top, *summary.failures, *state.history.unsegmented.values()]
    times += [entry.finished for entry in entries if not entry.inherited]
    folders = [job_folder(requests, state, job) for job in due if job.verb is not Verb.POOL]
    said = [newest_progress(store, folder) for folder in folders]
    return max([*times, *(progress.updated for progress in said if progress)], default=None)
