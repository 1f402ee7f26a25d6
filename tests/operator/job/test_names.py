"""A Job's name says what it does, whatever became of its labels."""

import pytest

from detnas.plan.stages import DueJob
from detnas.records.verbs import Verb
from detnas_operator.job.names import job_name, purpose_of

SEARCHES = ("a", "a-export", "x-pool-0", "b-export-12", "a-t0001", "s-base", "q" * 48, "s-finetune")
JOBS = [
    (DueJob(Verb.PREPARE), ""),
    (DueJob(Verb.BASE), ""),
    (DueJob(Verb.POOL, 3), ""),
    (DueJob(Verb.EVALUATE, 12), ""),
    (DueJob(Verb.EVALUATE, 12345), ""),
    (DueJob(Verb.FINETUNE), "x/finetune"),
    (DueJob(Verb.FINETUNE), "x/finetune-0012"),
    (DueJob(Verb.EXPORT), "x/students/best"),
    (DueJob(Verb.EXPORT), "x/students/best-base"),
    (DueJob(Verb.EXPORT), "x/students/best-base-2"),
    (DueJob(Verb.EXPORT), "x/students/best-0012-2"),
]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(("due", "folder"), JOBS, ids=str)
def test_purpose_of_reads_back_job_names_of_its_own_search_only(
    search: str, due: DueJob, folder: str
) -> None:
    name = job_name(search, due, folder)
    assert purpose_of(name, search) == due
    assert not any(purpose_of(name, other) for other in SEARCHES if other != search)


@pytest.mark.parametrize("name", ["", "a", "a-", "a-t1", "a-pool", "a-pool-x", "a-backup", "base"])
def test_purpose_of_other_names_is_none(name: str) -> None:
    assert purpose_of(name, "a") is None
