"""How many threads jobs compute with, together no more than there are processors."""

from pathlib import Path

import pytest

from detnas.plan.stages import Verb
from detnas.runner.opening import Overrides, open_search
from detnas.runner.running_jobs import job_threads
from detnas.runner.search_run import RunSettings, SearchRun
from detnas.runner.stopping import StopRequest
from tests.detnas.searches.local_run import FAKE_TRAINER, LocalSearch, QuietWatcher


@pytest.mark.parametrize("verb", [Verb.PREPARE, Verb.FINETUNE, Verb.EXPORT])
def test_a_job_beside_which_none_runs_has_every_processor(verb: Verb) -> None:
    assert job_threads(verb, parallelism=4, processors=6) == 6


@pytest.mark.parametrize("verb", [Verb.BASE, Verb.POOL])
def test_base_and_pool_share_the_processors_where_both_may_run(verb: Verb) -> None:
    assert [job_threads(verb, parallelism, 8) for parallelism in (1, 2, 8)] == [8, 4, 4]


def test_trials_have_a_share_each_and_at_least_one_thread() -> None:
    found = [job_threads(Verb.EVALUATE, parallelism, 6) for parallelism in (1, 2, 4, 6, 100)]
    assert found == [6, 3, 1, 1, 1]


@pytest.mark.parametrize(("asked", "expected"), [("", [3, 2, 6]), ("5", [5, 5, 5])])
def test_a_run_gives_each_job_its_share_unless_the_user_says_how_many_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, expected: list[int]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    pretended = LocalSearch(tmp_path / "search")
    pretended.write(trials=3)
    overrides = Overrides(str(pretended.folder / "store"), parallelism=3)
    search = open_search(pretended.folder / "search.yaml", overrides)
    trainer = (*FAKE_TRAINER, str(pretended.folder))
    settings = RunSettings(trainer=trainer, processors=6, tick=0.02)
    SearchRun(search, QuietWatcher(), StopRequest(), settings).run()
    logs = [
        (pretended.search / job / "attempts/1/log.txt").read_text()
        for job in ("base", "trials/0001", "students/best")
    ]
    assert [int(log.split("threads: ")[1]) for log in logs] == expected
