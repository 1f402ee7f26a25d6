"""Keys of objects and folders in the store."""


def pool_folder(namespace: str, digest: str) -> str:
    """Folder of the pool with this digest."""
    return f"{namespace}/pools/{digest}"


def pool_phase_folder(pool: str, phase: int) -> str:
    """Job folder of a pool's phase, from 0."""
    return f"{pool}/phase-{phase}"


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
    return f"{folder}/request.json"


def result_key(folder: str) -> str:
    """Key of a job's result."""
    return f"{folder}/result.json"


def attempt_folder(folder: str, attempt: int) -> str:
    """Folder of an attempt's own files, from 1."""
    return f"{folder}/attempts/{attempt}"


def prepare_folder(search: str) -> str:
    """Job folder of the data check."""
    return f"{search}/prepare"


def base_folder(search: str) -> str:
    """Job folder of the base."""
    return f"{search}/base"


def search_record_key(search: str) -> str:
    """Key of the search record: its spec, and the versions that began it."""
    return f"{search}/search.json"


def trained_pool_key(search: str) -> str:
    """Key of the pool's results as the search found them: the pool itself may be deleted later."""
    return f"{search}/pool.json"


def pool_retry_key(search: str) -> str:
    """Key of the record that the search has retried what failed under another."""
    return f"{search}/pool-retry.json"


def pool_lease_key(pool: str) -> str:
    """Key of a pool's lease."""
    return f"{pool}/claim.json"


def finetune_folder(search: str) -> str:
    """Job folder of the best student's fine-tuning."""
    return f"{search}/finetune"


def student_folder(search: str) -> str:
    """Job folder of the export, which contains the search's product."""
    return f"{search}/students/best"


def report_key(search: str) -> str:
    """Key of the page about a search, for people; rewritten whenever it is requested."""
    return f"{search}/report/index.html"
