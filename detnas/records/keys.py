"""Keys of objects and folders in the store."""

import re
from collections.abc import Iterable
from datetime import datetime

REQUEST = "request.json"
RESULT = "result.json"
SEARCH_RECORD = "search.json"

ATTEMPT = "attempt.json"
PROGRESS = "progress.json"
LOG = "log.txt"
CHECKPOINT = "checkpoint.json"
"""Files of an attempt."""

_PHASE = re.compile(r"phase-(\d+)")


def pool_folder(namespace: str, digest: str) -> str:
    """Folder of the pool with this digest."""
    return f"{namespace}/pools/{digest}"


def pool_phase_folder(pool: str, phase: int) -> str:
    """Job folder of a pool's phase, from 0."""
    return f"{pool}/phase-{phase}"


def pool_phase_of(pool: str, key: str) -> int | None:
    """The phase, from 0, that an object of a pool belongs to; None if to none."""
    match = _PHASE.fullmatch(key.removeprefix(f"{pool}/").partition("/")[0])
    return int(match[1]) if match else None


def search_folder(namespace: str, name: str, uid: str) -> str:
    """Folder of a search; ``uid`` is cut to 8 characters."""
    return f"{namespace}/searches/{name}-{uid[:8]}"


def pools_folder(namespace: str) -> str:
    """Folder of a namespace's pools."""
    return f"{namespace}/pools"


def searches_folder(namespace: str) -> str:
    """Folder of a namespace's searches."""
    return f"{namespace}/searches"


def inherited_folder(search: str) -> str:
    """Folder of what a search inherited: which trials, and their weights."""
    return f"{search}/inherited"


def inherited_weights_key(search: str, index: int, name: str) -> str:
    """Key of the copy of another search's trial's weights, by its number there."""
    return f"{inherited_folder(search)}/{index:04d}/{name}"


def trial_folder(search: str, index: int) -> str:
    """Job folder of a trial, from 0."""
    return f"{search}/trials/{index:04d}"


def ledger_segment(search: str, number: int) -> str:
    """Key of a segment of the ledger, from 0."""
    return f"{search}/ledger/{number:04d}.json"


def ledger_snapshot(search: str) -> str:
    """Key of the snapshot of the ledger's summary."""
    return f"{search}/ledger/folded.json"


def request_key(folder: str) -> str:
    """Key of a job's request."""
    return f"{folder}/{REQUEST}"


def result_key(folder: str) -> str:
    """Key of a job's result."""
    return f"{folder}/{RESULT}"


def failed_result_key(folder: str, finished: datetime) -> str:
    """Key of a failed result that was set aside."""
    return f"{folder}/failed-{finished:%Y%m%dT%H%M%S.%f}.json"


def attempts_folder(folder: str) -> str:
    """Folder of all attempts at a job."""
    return f"{folder}/attempts"


def attempt_folder(folder: str, attempt: int) -> str:
    """Folder of an attempt's own files, from 1."""
    return f"{attempts_folder(folder)}/{attempt}"


def attempt_key(folder: str, attempt: int) -> str:
    """Key of the record that an attempt has begun."""
    return f"{attempt_folder(folder, attempt)}/{ATTEMPT}"


def progress_key(folder: str, attempt: int) -> str:
    """Key of an attempt's progress."""
    return f"{attempt_folder(folder, attempt)}/{PROGRESS}"


def log_key(folder: str, attempt: int) -> str:
    """Key of the end of an attempt's log."""
    return f"{attempt_folder(folder, attempt)}/{LOG}"


def checkpoint_key(folder: str, attempt: int) -> str:
    """Key of the record of an attempt's last checkpoint."""
    return f"{attempt_folder(folder, attempt)}/{CHECKPOINT}"


def checkpoint_tensors_key(folder: str, attempt: int, iteration: int) -> str:
    """Key of the tensors of an attempt's checkpoint."""
    return f"{attempt_folder(folder, attempt)}/checkpoint-{iteration}.safetensors"


def is_of_checkpoint(key: str) -> bool:
    """Whether an attempt's file is a checkpoint's record or tensors."""
    return "/checkpoint" in key


def attempt_files(folder: str, listed: Iterable[str]) -> dict[int, set[str]]:
    """Names of the files of each attempt at a job, by its number.

    Args:
        folder: of the job.
        listed: keys of objects in it; those that are no attempt's are skipped.
    """
    prefix = f"{attempts_folder(folder)}/"
    found: dict[int, set[str]] = {}
    for key in listed:
        number, slash, name = key.removeprefix(prefix).partition("/")
        if key.startswith(prefix) and slash and number.isdecimal():
            found.setdefault(int(number), set()).add(name)
    return found


def prepare_folder(search: str) -> str:
    """Job folder of the data check."""
    return f"{search}/prepare"


def base_folder(search: str) -> str:
    """Job folder of the base."""
    return f"{search}/base"


def search_record_key(search: str) -> str:
    """Key of the search record: its spec, and the versions that began it."""
    return f"{search}/{SEARCH_RECORD}"


def trained_pool_key(search: str) -> str:
    """Key of the pool's results as the search found them: the pool itself may be deleted later."""
    return f"{search}/pool.json"


def pool_retry_key(search: str) -> str:
    """Key of the record that the search has retried what failed under another."""
    return f"{search}/pool-retry.json"


def pool_lease_key(pool: str) -> str:
    """Key of a pool's lease."""
    return f"{pool}/claim.json"


def extraction_folder(search: str, index: int) -> str:
    """Job folder of the extraction of the subnet that a trial evaluated."""
    return f"{search}/extracted/{index:04d}"


def subnet_scores_key(folder: str, attempt: int) -> str:
    """Key of what an attempt has evaluated of a job's subnets."""
    return f"{attempt_folder(folder, attempt)}/subnets.json"


def tested_key(folder: str, attempt: int) -> str:
    """Key of what an attempt has scored of the detectors of a test."""
    return f"{attempt_folder(folder, attempt)}/tested.json"


def final_test_folder(search: str, number: int = 1) -> str:
    """Job folder of the scores on the test split; a later one if other detectors are scored."""
    return f"{search}/test{'' if number == 1 else f'-{number}'}"


def finetune_folder(search: str) -> str:
    """Job folder of the best student's fine-tuning."""
    return f"{search}/finetune"


def later_finetune_folder(search: str, trial: int) -> str:
    """Job folder of the fine-tuning of another trial, which has become the best since."""
    return f"{finetune_folder(search)}-{trial:04d}"


def is_of_finetuning(key: str) -> bool:
    """Whether a file, such as weights, is of a fine-tuning's job folder."""
    return key.split("/")[-2].startswith("finetune")


def finetuning_folder(search: str, number: int) -> str:
    """Job folder of a fine-tuning: the first one's, or one more than the number of its trial."""
    return later_finetune_folder(search, number - 1) if number else finetune_folder(search)


def baseline_folder(search: str, name: str, number: int = 1) -> str:
    """Job folder of a baseline; a later one if another student is compared."""
    return f"{search}/baselines/{name}{'' if number == 1 else f'-{number}'}"


def export_folder(search: str) -> str:
    """Job folder of the export, which contains the search's product."""
    return f"{search}/students/best"


def later_export_folder(search: str, trial: int | None) -> str:
    """Job folder of the export of a trial, or of the base (None), that is not the first."""
    return f"{export_folder(search)}-{'base' if trial is None else f'{trial:04d}'}"


def second_export_folder(search: str, trial: int | None) -> str:
    """Job folder of the second export of the same trial, after it was fine-tuned again."""
    return f"{later_export_folder(search, trial)}-2"


def requested_export_folder(search: str, name: str, digest: str) -> str:
    """Job folder of an export that a user asked for; the digest is of what was asked."""
    return f"{search}/exports/{name}-{digest}"


def is_base_as_requested(key: str) -> bool:
    """Whether a folder is of the export of a base that a user asked for."""
    return "/exports/base-" in key


def latencies_folder(search: str) -> str:
    """Folder of the latencies that H counts."""
    return f"{search}/latencies"


def latency_device_key(folder: str) -> str:
    """Key of the device that they are measured on."""
    return f"{folder}/device.json"


def latency_key(folder: str, digest: str, resolution: object) -> str:
    """Key of the latency of an architecture at a resolution, in that folder."""
    return f"{folder}/{digest}-{resolution}.json"


def report_key(search: str) -> str:
    """Key of the page about a search, for people; rewritten whenever it is requested."""
    return f"{search}/report/index.html"
