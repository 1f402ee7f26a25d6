"""What a pass does, for each way that plan and Jobs can stand to each other."""

from dataclasses import replace

import pytest

from detnas.plan.stages import JobId, Phase, Plan
from detnas.reasons import Reason, ReasonCode
from detnas.records.verbs import Verb
from detnas_operator.reconcile.block import Block
from detnas_operator.reconcile.observed_jobs import ObservedJob
from detnas_operator.reconcile.steps import Steps, decide_steps

FREE = Block()
SUSPENDED = Block(suspended=True, ends_running=True)
TOO_MANY_FAILURES = Block(reason=Reason(ReasonCode.FAILURES_IN_A_ROW, "8 trials in a row failed"))
BUDGET_USED_UP = Block(reason=Reason(ReasonCode.BUDGET_USED_UP, "used up"), ends_running=True)

TRIAL = JobId(Verb.EVALUATE, 7)
NAME = "evaluate-7"
SEARCHING = Plan(Phase.SEARCHING, (TRIAL,), proposals=2)
RUNNING = ObservedJob(TRIAL)


def name(job_id: JobId) -> str:
    return f"{job_id.verb}-{job_id.number}"


def decided(plan: Plan, seen: ObservedJob | None = None, block: Block = FREE) -> Steps:
    return decide_steps(plan, {} if seen is None else {NAME: seen}, name, block)


def test_steps_start_a_due_job() -> None:
    assert decided(SEARCHING) == Steps(start=(TRIAL,), propose=2)


def test_steps_leave_a_running_job() -> None:
    assert decided(SEARCHING, RUNNING) == Steps(propose=2)


def test_steps_fail_a_job_that_ended_without_a_result() -> None:
    assert decided(SEARCHING, replace(RUNNING, ended=True)).fail == (NAME,)


def test_steps_leave_a_job_whose_data_has_changed() -> None:
    changed = Block(reason=Reason(ReasonCode.DATA_CHANGED, "the annotations have changed"))
    seen = replace(RUNNING, ended=True, exhausted=True, data_changed=True)
    assert decided(SEARCHING, seen, changed) == Steps()


def test_steps_fail_a_job_that_exhausted_its_resumptions() -> None:
    assert decided(SEARCHING, replace(RUNNING, exhausted=True)).fail == (NAME,)


def test_steps_fail_an_overdue_job_without_a_result() -> None:
    assert decided(SEARCHING, replace(RUNNING, overdue=True)).fail == (NAME,)
    assert decided(SEARCHING, replace(RUNNING, overdue=True, has_result=True)).fail == ()


def test_steps_expire_an_ended_job_with_a_result() -> None:
    done = replace(RUNNING, ended=True, has_result=True)
    assert decided(Plan(Phase.SEARCHING, (), 1), done).expire == (NAME,)
    assert decided(Plan(Phase.SEARCHING, (), 1), replace(done, has_ttl=True)).expire == ()


def test_steps_delete_a_lingering_job_with_a_result() -> None:
    publishing = replace(RUNNING, has_result=True)
    for plan in (Plan(Phase.SEARCHING, (), 1), Plan(Phase.SUCCEEDED)):
        assert decided(plan, publishing).delete == ()
        assert decided(plan, replace(publishing, lingers=True)).delete == (NAME,)


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.SUCCEEDED])
def test_steps_of_an_ended_search_delete_running_jobs(phase: Phase) -> None:
    assert decided(Plan(phase), RUNNING) == Steps(delete=(NAME,))


@pytest.mark.parametrize("block", [SUSPENDED, BUDGET_USED_UP])
def test_steps_of_a_blocked_search_delete_running_jobs_and_start_none(block: Block) -> None:
    assert decided(SEARCHING, RUNNING, block) == Steps(delete=(NAME,))
    assert decided(SEARCHING, None, block) == Steps()


def test_steps_after_failures_in_a_row_start_none_and_leave_running_jobs() -> None:
    assert decided(SEARCHING, RUNNING, TOO_MANY_FAILURES) == Steps()
    assert decided(SEARCHING, None, TOO_MANY_FAILURES) == Steps()


def test_steps_fail_ended_jobs_under_every_block() -> None:
    ended = replace(RUNNING, ended=True)
    for block in (SUSPENDED, BUDGET_USED_UP, TOO_MANY_FAILURES):
        assert decided(SEARCHING, ended, block).fail == (NAME,)


def test_steps_wait_for_a_terminating_job() -> None:
    leaving = replace(RUNNING, terminating=True)
    assert decided(SEARCHING, leaving) == Steps(propose=2, name_taken=(NAME,))


def test_steps_fail_a_failed_job_that_is_deleted() -> None:
    """Its time to live may be 0."""
    failed = replace(RUNNING, ended=True, terminating=True)
    assert decided(SEARCHING, failed).fail == (NAME,)
    assert decided(SEARCHING, failed).start == ()
    told = decided(Plan(Phase.SEARCHING, (), 1), replace(failed, has_result=True))
    assert (told.fail, told.drop, told.expire) == ((), (NAME,), ())
    assert decided(SEARCHING, replace(failed, ended=False, exhausted=True)).fail == ()


def test_steps_postpone_a_foreign_time_to_live_once() -> None:
    given = replace(RUNNING, has_ttl=True)
    assert decided(SEARCHING, given).postpone == (NAME,)
    for other in (
        replace(given, postponed=True),
        replace(given, ended=True),
        replace(given, terminating=True),
    ):
        assert decided(SEARCHING, other).postpone == ()


def test_steps_delete_a_job_with_a_result_despite_a_sidecar() -> None:
    done = replace(RUNNING, has_result=True, lingers=True, trainer_done=True)
    assert decided(Plan(Phase.SEARCHING, (), 1), done) == Steps(delete=(NAME,), propose=1)


def test_steps_fail_a_job_whose_trainer_wrote_no_result_despite_a_sidecar() -> None:
    assert decided(SEARCHING, replace(RUNNING, trainer_done=True)).fail == (NAME,)


def test_steps_end_pods_whose_trainer_failed() -> None:
    failed = replace(RUNNING, ends_pods=True)
    assert decided(SEARCHING, failed).end_pods == (NAME,)
    assert decided(SEARCHING, failed, SUSPENDED).end_pods == (), "its Job is deleted"
    assert decided(SEARCHING, replace(failed, has_result=True)).end_pods == ()


def test_steps_leave_a_parked_job_until_the_search_is_stopped() -> None:
    parked = replace(RUNNING, parked=True)
    assert decided(Plan(Phase.SEARCHING, (), 1), parked) == Steps(propose=1)
    assert decided(Plan(Phase.SEARCHING, (), 1), replace(parked, ended=True)) == Steps(propose=1)
    assert decided(Plan(Phase.SEARCHING, (), 1), parked, SUSPENDED) == Steps(delete=(NAME,))


def test_steps_postpone_the_time_to_live_of_a_parked_job() -> None:
    parked = replace(RUNNING, parked=True, has_ttl=True)
    assert decided(Plan(Phase.SEARCHING, (), 1), parked).postpone == (NAME,)
