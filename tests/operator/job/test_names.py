"""A Job's name says what it does, whatever became of its labels."""

import pytest

from detnas.plan.stages import JobId
from detnas.records.verbs import Verb
from detnas_operator.job.names import job_name, parse_job_name

SEARCHES = (
    *("a", "a-export", "x-pool-0", "b-export-12", "a-t0001", "a-s0025", "a-extract", "s-base"),
    *("q" * 48, "s-finetune"),
)
JOBS = [
    (JobId(Verb.PREPARE), ""),
    (JobId(Verb.BASE), ""),
    (JobId(Verb.POOL, 3), ""),
    (JobId(Verb.EVALUATE, 12), ""),
    (JobId(Verb.EVALUATE, 12345), ""),
    (JobId(Verb.SUBNETS, 25), ""),
    (JobId(Verb.SUBNETS, 9975), ""),
    (JobId(Verb.EXTRACT, 31), ""),
    (JobId(Verb.FINETUNE), "x/finetune"),
    (JobId(Verb.FINETUNE, 13), "x/finetune-0012"),
    (JobId(Verb.BASELINE, 0), "x/baselines/continued"),
    (JobId(Verb.BASELINE, 1), "x/baselines/pruned"),
    (JobId(Verb.BASELINE, 2), "x/baselines/scaled-2"),
    (JobId(Verb.TEST), "x/test"),
    (JobId(Verb.TEST), "x/test-2"),
    (JobId(Verb.EXPORT), "x/students/best"),
    (JobId(Verb.EXPORT), "x/students/best-base"),
    (JobId(Verb.EXPORT), "x/students/best-base-2"),
    (JobId(Verb.EXPORT), "x/students/best-0012-2"),
]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(("job_id", "folder"), JOBS, ids=str)
def test_parse_job_name_reads_back_job_names_of_its_own_search_only(
    search: str, job_id: JobId, folder: str
) -> None:
    name = job_name(search, job_id, folder)
    assert parse_job_name(name, search) == job_id
    assert not any(parse_job_name(name, other) for other in SEARCHES if other != search)


@pytest.mark.parametrize("name", ["", "a", "a-", "a-t1", "a-pool", "a-pool-x", "a-backup", "base"])
def test_parse_job_name_of_any_other_name_is_none(name: str) -> None:
    assert parse_job_name(name, "a") is None
