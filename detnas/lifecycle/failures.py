"""Jobs beside the trials that failed in an earlier run: to run again is to try them again."""

from collections.abc import Iterator

from detnas.lifecycle.reading.state import SearchState
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.results import Outcome, Result
from detnas.store import Store
from detnas.store.artifacts import create_record


def set_aside_failures(store: Store, requests: SearchRequests, state: SearchState) -> list[str]:
    """Let the setup jobs, fine-tuning and export that failed be due again; return their folders.

    A trial's failure is an answer to the search and stays. Without the setup there is no
    search, so who mended the data or the machine can go on. The failed result is kept beside
    the job's other files.
    """
    failed = vital_failures(requests, state)
    for folder, result in failed.items():
        set_aside(store, folder, result)
    return list(failed)


def vital_failures(requests: SearchRequests, state: SearchState) -> dict[str, Result]:
    """Return the failed results that are no answer to the search, by their folders.

    A search can not go on without the setup and the export. It can without its fine-tuning, and
    an outcome that says something of the student is final; one that was lost is not.
    """
    failed = {
        folder: result
        for folder, result in _vital(requests, state)
        if result is not None and result.outcome is not Outcome.SUCCEEDED
    }
    ending = state.ending
    if ending is not None and ending.lost_finetune is not None:
        failed[ending.finetune_folder] = ending.lost_finetune  # last: it hides the export
    return failed


def set_aside(store: Store, folder: str, result: Result) -> None:
    """Keep a result under another name, so that its job has none."""
    name = f"failed-{result.finished:%Y%m%dT%H%M%S.%f}.json"
    create_record(store, f"{folder}/{name}", result)
    store.delete(keys.result_key(folder))


def _vital(requests: SearchRequests, state: SearchState) -> Iterator[tuple[str, Result | None]]:
    yield keys.prepare_folder(requests.search), state.prepare
    yield keys.base_folder(requests.search), state.base
    trains_pool = requests.existing_pool is None  # a given one is others' to mend
    if trains_pool and state.prepare is not None and state.prepare.outcome is Outcome.SUCCEEDED:
        pool = requests.pool_folder(state.prepare)
        for number, phase in enumerate(state.pool):
            yield keys.pool_phase_folder(pool, number), phase
    if state.ending is not None:
        yield state.ending.export_folder, state.ending.export
