"""Status and events of any pass result: of the schema, small, the same while nothing changes."""

import json
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import JobId, Phase
from detnas.reasons import Category, Reason, ReasonCode
from detnas.records.progress import Progress
from detnas.records.results import Outcome
from detnas.records.verbs import Verb
from detnas.resource.status import MAX_STATUS_BYTES, ResourceStatus
from detnas_operator.job_state.state import (
    Failed,
    FailureKind,
    Running,
    Succeeded,
    Terminating,
    Waiting,
)
from detnas_operator.status.events import events
from detnas_operator.status.pass_result import PassResult
from detnas_operator.status.patch import is_worth_a_patch
from detnas_operator.status.resource_status import resource_status
from tests.operator.status.pass_results import (
    BEST,
    LATER,
    NOW,
    RUNNING,
    detector,
    failed_trial,
    good_trial,
    job,
    pass_result,
    search_state,
    with_progress,
)

TRIAL = JobId(Verb.EVALUATE, 2)
MOST = 2**53 - 1


def test_status_of_the_largest_result_fits_the_api_server() -> None:
    long = '"\\<é☃\x00\n' * 4000
    reason = Reason(ReasonCode.STORE_UNAVAILABLE, long)
    huge = BEST.model_copy(update={"encoding": "(65536, 65536)-" * 5000})
    progress = Progress(
        activity=long,
        done=MOST,
        total=MOST,
        epoch=MOST,
        epochs=MOST,
        loss=-1.2345678e300,
        seconds_left=1e15,
        updated=NOW,
    )
    job_ids = [JobId(Verb.EVALUATE, 10**9 + n) for n in range(500)]
    largest = pass_result(
        search_state(
            folder="s3://" + "b" * 5000,
            trials=10**9,
            base=huge,
            best=huge,
            best_trial=10**9,
            exported=huge,
            exported_trial=10**9,
            exported_to="s3://" + "c" * 5000,
            top=tuple(good_trial(10**9 + n, BEST) for n in range(100)),
            failures=tuple(failed_trial(10**9 + n, "Infrastructure", long) for n in range(100)),
            active=tuple(
                with_progress(job_id, 0).model_copy(update={"progress": progress})
                for job_id in job_ids
            ),
            problem=long,
            ended_because=long,
        ),
        jobs={job_id: job(job_id, RUNNING) for job_id in job_ids},
        pool=long,
        pool_holder=long,
        image=long,
        blocked=reason,
        problems=tuple(Reason(code, long) for code in ReasonCode),
    )
    status = resource_status(largest, {}, NOW)

    assert len(json.dumps(status, ensure_ascii=False).encode()) < MAX_STATUS_BYTES
    assert len(status["active"]) == 50
    assert len(status["failures"]) == 5
    ResourceStatus.model_validate(status)


WAITS = [
    ReasonCode.QUEUED,
    ReasonCode.RETRYING,
    *(code for code in ReasonCode if code.category in (Category.INTERNAL, Category.JOB)),
]
texts = st.text(max_size=80)
moments = st.integers(0, 10**6).map(lambda seconds: NOW - timedelta(seconds=seconds))
states = st.one_of(
    st.builds(Running, since=moments),
    st.builds(Waiting, code=st.sampled_from(WAITS), message=texts),
    st.builds(Failed, kind=st.sampled_from(FailureKind), message=texts),
    st.builds(Terminating, message=texts, deleted=st.booleans()),
    st.just(Succeeded()),
)


def reasons(*categories: Category) -> st.SearchStrategy[Reason]:
    codes = [code for code in ReasonCode if code.category in categories]
    return st.builds(Reason, code=st.sampled_from(codes), message=texts)


scores = st.floats(-10, 10)
detectors = st.builds(detector, scores, scores, st.integers(0, 10**13))
refusals = reasons(Category.NOT_ACCEPTED)
blocks = reasons(Category.STOPPED, Category.NOT_ACCEPTED)
problems = reasons(Category.INPUTS, Category.JOB, Category.STOPPED)


@st.composite
def searches(draw: st.DrawFn) -> SearchStatus:
    failed = st.builds(
        failed_trial, st.integers(0, 99), st.sampled_from([*map(str, Outcome)]), texts
    )
    best = draw(st.none() | detectors)
    return search_state(
        draw(st.sampled_from(Phase)),
        problem=draw(texts),
        finished=draw(st.integers(0, 100)),
        ended_because=draw(texts),
        base=draw(st.none() | detectors),
        best=best,
        best_trial=None if best is None else draw(st.integers(0, 99)),
        exported=draw(st.none() | detectors),
        exported_trial=draw(st.none() | st.integers(0, 99)),
        exported_to=draw(st.none() | texts),
        export_reason=draw(texts),
        improved=draw(st.none() | st.booleans()),
        likely_causes=tuple(draw(st.lists(texts, max_size=4))),
        warnings=tuple(draw(st.lists(texts, max_size=9))),
        top=tuple(good_trial(3, one) for one in draw(st.lists(detectors, max_size=12))),
        failures=tuple(draw(st.lists(failed, max_size=7))),
        active=(with_progress(TRIAL, 1, loss=draw(st.floats()), seconds_left=draw(st.floats())),),
        seconds_left=draw(st.none() | st.floats()),
    )


@st.composite
def results(draw: st.DrawFn) -> PassResult:
    job_ids = st.builds(JobId, st.sampled_from(Verb), st.integers(0, 9999))
    jobs = draw(st.dictionaries(job_ids, states, max_size=6))
    return pass_result(
        draw(st.none() | searches()),
        not_accepted=draw(st.none() | refusals),
        suspended=draw(st.booleans()),
        blocked=draw(st.none() | blocks),
        jobs={
            job_id: job(job_id, state, draw(st.none() | moments)) for job_id, state in jobs.items()
        },
        pool_phases=draw(st.tuples(st.integers(0, 4), st.integers(0, 4))),
        pool_holder=draw(texts),
        problems=tuple(draw(st.lists(problems, max_size=3))),
        gpu_seconds=draw(st.floats(0, 1e9)),
        forgiven=draw(st.integers(0, 10**6)),
    )


@settings(max_examples=60, deadline=None)
@given(results(), results())
def test_status_of_any_result_is_of_the_schema_printable_and_stays_the_same(
    first: PassResult, second: PassResult
) -> None:
    before = resource_status(first, {}, NOW)
    status = resource_status(second, before, LATER)
    found = events(before, status)
    again = resource_status(second, status, LATER + timedelta(hours=1))

    assert ResourceStatus.model_validate(status).to_json() == status
    assert json.loads(json.dumps(status, allow_nan=False)) == status
    assert len(json.dumps(status, ensure_ascii=False).encode()) < MAX_STATUS_BYTES
    assert again == status
    assert events(status, again) == ()
    assert not is_worth_a_patch(status, again, float("inf"), 60)
    assert len(found) <= 13
    messages = [one["message"] for one in status["conditions"]] + [one.message for one in found]
    for text in messages:
        assert text == text.strip()
        assert all(character >= " " for character in text)
        assert len(text.encode()) < 1024
    for old, new in zip(before["conditions"], status["conditions"], strict=True):
        assert new["type"] in ReasonCode(new["reason"]).conditions
        same = old["status"] == new["status"]
        assert (old["lastTransitionTime"] == new["lastTransitionTime"]) is same
