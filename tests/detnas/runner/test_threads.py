"""Threads of jobs, together no more than there are processors."""

import pytest

from detnas.plan.threads import job_threads
from detnas.records.verbs import Verb
from tests.detnas.searches.local_run import LocalSearch, QuietWatcher


@pytest.mark.parametrize("verb", [Verb.PREPARE, Verb.TEST, Verb.EXPORT])
def test_job_threads_of_a_job_that_runs_alone_are_all(verb: Verb) -> None:
    assert job_threads(verb, parallelism=4, processors=6) == 6


@pytest.mark.parametrize("verb", [Verb.BASE, Verb.POOL])
def test_job_threads_of_base_and_pool_are_shared_if_both_may_run(verb: Verb) -> None:
    assert [job_threads(verb, parallelism, 8) for parallelism in (1, 2, 8)] == [8, 4, 4]


def test_job_threads_of_trials_are_a_share_and_at_least_one() -> None:
    found = [job_threads(Verb.EVALUATE, parallelism, 6) for parallelism in (1, 2, 4, 6, 100)]
    assert found == [6, 3, 1, 1, 1]


@pytest.mark.parametrize(("requested", "expected"), [("", [3, 2, 6]), ("5", [5, 5, 5])])
def test_run_gives_each_job_its_share_unless_the_user_sets_the_threads(
    search: LocalSearch, monkeypatch: pytest.MonkeyPatch, requested: str, expected: list[int]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", requested)
    search.write(trials=3)
    search.run_here(QuietWatcher(), parallelism=3, processors=6)
    logs = [
        (search.search / job / "attempts/1/log.txt").read_text()
        for job in ("base", "trials/0001", "students/best")
    ]
    assert [int(log.split("threads: ")[1]) for log in logs] == expected
