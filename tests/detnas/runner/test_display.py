"""Live progress: phase, trials, best H, time left, and the running jobs."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from detnas.ledger import History
from detnas.ledger.segments import UnsegmentedEntries
from detnas.lifecycle.reading.state import SearchState
from detnas.plan.stages import JobId, Phase
from detnas.records import keys
from detnas.records.progress import Progress
from detnas.records.proposal import Proposal, Step
from detnas.records.results import Outcome, PrepareResult, SplitSummary
from detnas.records.verbs import Verb
from detnas.runner.display import Display
from detnas.runner.running_jobs import Ended, RunningJob
from detnas.store import Store, open_store
from detnas.store.artifacts import put_record
from detnas.store.errors import StoreUnavailable
from tests.detnas.searches.results import manifest
from tests.detnas.trials import BASE, START, failed, proposal, result, succeeded, summary_of

SPEC = manifest(search={"trials": 10, "parallelism": 2}).spec
FOLDER = "local/searches/tiny-01234567/trials/0003"
PROGRESS = Progress(
    activity="training", done=5, total=60, epoch=2, epochs=3, loss=1.25, seconds_left=90,
    updated=START,
)  # fmt: skip
STATE = SearchState(
    scorer=BASE,
    history=History(
        summary_of(
            [succeeded(proposal(index), score) for index, score in enumerate((0.3, 0.5, 0.2))]
        ),
        in_flight=(proposal(3),),
        unsegmented=UnsegmentedEntries.of(
            succeeded(proposal(index), 0.1 + index / 5) for index in (0, 1)
        ),
    ),
)


class Screen:
    """A display on a terminal, or in a pipe, with a clock to be set."""

    def __init__(self, store: Store, terminal: bool) -> None:
        self.seconds = 0.0
        self.written = io.StringIO()
        console = Console(file=self.written, force_terminal=terminal, width=160)
        self.display = Display(store, SPEC, console, lambda: self.seconds)

    @property
    def text(self) -> str:
        return self.written.getvalue()


@pytest.fixture
def job(tmp_path: Path) -> RunningJob:
    return RunningJob(JobId(Verb.EVALUATE, 3), FOLDER, tmp_path / "log.txt", 0, START)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = open_store((tmp_path / "store").as_uri())
    put_record(found, f"{keys.attempt_folder(FOLDER, 1)}/progress.json", PROGRESS)
    return found


@pytest.fixture(params=[True, False], ids=["terminal", "pipe"])
def screen(
    request: pytest.FixtureRequest, store: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Screen]:
    monkeypatch.setenv("TERM", "xterm")  # whatever terminal the tests are run from
    found = Screen(store, request.param)
    with found.display:
        yield found


def test_tick_shows_the_search_and_its_jobs(screen: Screen, job: RunningJob) -> None:
    screen.display.phase(Phase.SEARCHING, STATE)
    screen.seconds = 60
    screen.display.tick(STATE, [job])
    best = STATE.history.summary.best
    assert best is not None
    for shown in (
        "Searching", "trials 3/10", f"best H {best.h:.4f} (trial 1)", " left",
        "trial 3", "training", "2/3", "5/60", "1.250",
    ):  # fmt: skip
        assert shown in screen.text


def test_tick_within_the_interval_shows_nothing(screen: Screen, job: RunningJob) -> None:
    screen.display.phase(Phase.SEARCHING, STATE)
    before = screen.text
    screen.seconds = 0.5
    screen.display.tick(STATE, [job])
    assert screen.text == before


def test_phase_reports_an_ended_trial_once(screen: Screen) -> None:
    continued = SearchState(scorer=BASE, history=History(summary_of([succeeded(proposal(0), 0.3)])))
    screen.display.phase(Phase.SEARCHING, continued)
    for _ in range(2):
        screen.display.phase(Phase.SEARCHING, STATE)
    assert screen.text.count("trial 1: ") == 1
    assert "best so far" in screen.text


def test_phase_reports_the_subnets_of_a_job_in_one_line(screen: Screen) -> None:
    def subnet(index: int, job: int) -> Proposal:
        return proposal(index, step=Step.SUBNET, job=job)

    ended = [
        *(succeeded(subnet(index, 25), 0.1 + index / 100) for index in range(25, 49)),
        failed(subnet(49, 25), Outcome.INVALID),
        succeeded(subnet(50, 50), 0.3),
    ]
    screen.display.phase(Phase.SEARCHING, STATE)
    history = replace(STATE.history, unsegmented=UnsegmentedEntries.of(ended))
    screen.display.phase(Phase.SEARCHING, replace(STATE, history=history))
    lines = [line for line in screen.text.splitlines() if "→" in line]
    assert len(lines) == 2
    assert "trials 25–49: 24 of 25 subnets evaluated; 48: depths " in lines[0]
    assert "H 0.5800" in lines[0]
    assert "trial 50: depths " in lines[1]


def test_ended_of_a_failure_prints_the_end_of_its_log(screen: Screen, job: RunningJob) -> None:
    lost = result(3).model_copy(update={"outcome": Outcome.INFRASTRUCTURE, "files": {}})
    screen.display.ended(Ended(job, 1, None, "the disk [sda] is full"))
    screen.display.ended(Ended(job, -9, lost, "killed"))
    for shown in ("it is retried", "the disk [sda] is full", "trial 3: Infrastructure"):
        assert shown in screen.text
    assert str(job.log) in screen.text.replace("\n", "")


def test_ended_of_the_data_check_prints_its_warnings(screen: Screen, tmp_path: Path) -> None:
    warnings = ("spec.dataset.val: 6 images [few]", "spec.evaluation: 6 steps")
    check = RunningJob(JobId(Verb.PREPARE), FOLDER, tmp_path / "log.txt", 0, START)
    checked = PrepareResult(started=START, finished=START, warnings=warnings)
    screen.display.ended(Ended(check, 0, checked, ""))
    text = screen.text
    assert text.index("data check is done") < text.index(f"warning: {warnings[0]}")
    assert f"warning: {warnings[1]}" in text


def test_ended_of_the_base_prints_its_notes(screen: Screen, job: RunningJob) -> None:
    base = replace(job, job_id=JobId(Verb.BASE))
    done = result(0).model_copy(update={"notes": ("the rows were put in order",)})
    screen.display.ended(Ended(base, 0, done, ""))
    assert "base is done (0:30)" in screen.text
    assert "note: the rows were put in order" in screen.text


def test_ended_of_the_data_check_prints_remarks_on_the_data(screen: Screen) -> None:
    split = SplitSummary(sha256="0", images=9, boxes=20, empty_images=2)
    checked = PrepareResult(started=START, finished=START, train=split, val=split)
    prepare = RunningJob(JobId(Verb.PREPARE), FOLDER, Path("log.txt"), 0, START)
    screen.display.ended(Ended(prepare, 0, checked, ""))
    for split_name in ("train", "val"):
        assert f"{split_name}: images without boxes: 2 of 9" in screen.text


def test_ended_in_a_pipe_prints_the_log_unwrapped(store: Store, job: RunningJob) -> None:
    screen, line = Screen(store, terminal=False), f"no such file: {'/folder' * 30}"
    screen.display.ended(Ended(job, 1, None, line))
    assert line in screen.text


def test_tick_without_readable_progress_continues(
    screen: Screen, store: Store, job: RunningJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: object, prefix: str) -> None:
        raise StoreUnavailable("the store does not answer", "try again later")

    screen.seconds = 60
    with monkeypatch.context() as patched:
        patched.setattr(type(store), "list", fails)
        screen.display.tick(STATE, [job])
    screen.seconds = 120
    screen.display.tick(STATE, [job])
    assert "training" in screen.text


def test_tick_on_a_dumb_terminal_prints_lines(
    store: Store, job: RunningJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen(store, terminal=True)
    with screen.display:
        screen.seconds = 60
        screen.display.tick(STATE, [job])
    assert "trial 3 training epoch 2/3" in screen.text.replace("\n", " ")
    assert "\x1b" not in screen.text
