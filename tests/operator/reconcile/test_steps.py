"""What a pass does, for each way that plan and Jobs can stand to each other."""

from dataclasses import replace

import pytest

from detnas.plan.stages import DueJob, Phase, Plan, Verb
from detnas.reasons import Reason, ReasonCode
from detnas_operator.reconcile.block import Block
from detnas_operator.reconcile.observed_jobs import ObservedJob
from detnas_operator.reconcile.steps import Steps, steps

FREE = Block()
SUSPENDED = Block(suspended=True, ends_running=True)
TOO_MANY_FAILURES = Block(reason=Reason(ReasonCode.FAILURES_IN_A_ROW, "8 trials in a row failed"))
BUDGET_USED_UP = Block(reason=Reason(ReasonCode.BUDGET_USED_UP, "used up"), ends_running=True)

TRIAL = DueJob(Verb.EVALUATE, 7)
NAME = "evaluate-7"
SEARCHING = Plan(Phase.SEARCHING, (TRIAL,), proposals=2)
RUNNING = ObservedJob(TRIAL)


def name(due: DueJob) -> str:
    return f"{due.verb}-{due.number}"


def decided(plan: Plan, seen: ObservedJob | None = None, block: Block = FREE) -> Steps:
    return steps(plan, {} if seen is None else {NAME: seen}, name, block)


def test_what_is_due_and_not_there_is_started() -> None:
    assert decided(SEARCHING) == Steps(start=(TRIAL,), propose=2)


def test_what_runs_is_left_alone() -> None:
    assert decided(SEARCHING, RUNNING) == Steps(propose=2)


def test_a_job_that_ended_without_a_result_is_failed_before_anything_else() -> None:
    assert decided(SEARCHING, replace(RUNNING, ended=True)).fail == (NAME,)


def test_a_job_whose_data_has_changed_gets_no_result_and_is_not_made_anew() -> None:
    changed = Block(reason=Reason(ReasonCode.DATA_CHANGED, "the annotations have changed"))
    seen = replace(RUNNING, ended=True, exhausted=True, data_changed=True)
    assert decided(SEARCHING, seen, changed) == Steps()


def test_a_job_that_asks_to_be_resumed_for_ever_is_failed() -> None:
    assert decided(SEARCHING, replace(RUNNING, exhausted=True)).fail == (NAME,)


def test_a_job_that_takes_far_longer_than_predicted_is_failed_unless_its_result_is_there() -> None:
    assert decided(SEARCHING, replace(RUNNING, overdue=True)).fail == (NAME,)
    assert decided(SEARCHING, replace(RUNNING, overdue=True, has_result=True)).fail == ()


def test_a_job_with_a_result_may_go_after_its_end() -> None:
    done = replace(RUNNING, ended=True, has_result=True)
    assert decided(Plan(Phase.SEARCHING, (), 1), done).expire == (NAME,)
    assert decided(Plan(Phase.SEARCHING, (), 1), replace(done, expires=True)).expire == ()


def test_a_job_with_a_result_ends_by_itself_unless_it_lingers() -> None:
    publishing = replace(RUNNING, has_result=True)
    for plan in (Plan(Phase.SEARCHING, (), 1), Plan(Phase.SUCCEEDED)):
        assert decided(plan, publishing).delete == ()
        assert decided(plan, replace(publishing, lingers=True)).delete == (NAME,)


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.SUCCEEDED])
def test_a_search_that_is_over_leaves_nothing_running(phase: Phase) -> None:
    assert decided(Plan(phase), RUNNING) == Steps(delete=(NAME,))


@pytest.mark.parametrize("block", [SUSPENDED, BUDGET_USED_UP])
def test_a_block_ends_what_runs_and_starts_nothing(block: Block) -> None:
    assert decided(SEARCHING, RUNNING, block) == Steps(delete=(NAME,))
    assert decided(SEARCHING, None, block) == Steps()


def test_failures_in_a_row_start_nothing_and_let_what_runs_end() -> None:
    assert decided(SEARCHING, RUNNING, TOO_MANY_FAILURES) == Steps()
    assert decided(SEARCHING, None, TOO_MANY_FAILURES) == Steps()


def test_results_are_failed_under_every_block() -> None:
    ended = replace(RUNNING, ended=True)
    for block in (SUSPENDED, BUDGET_USED_UP, TOO_MANY_FAILURES):
        assert decided(SEARCHING, ended, block).fail == (NAME,)


def test_a_job_that_is_being_deleted_is_waited_for() -> None:
    leaving = replace(RUNNING, terminating=True)
    assert decided(SEARCHING, leaving) == Steps(propose=2, name_taken=(NAME,))


def test_a_job_that_failed_and_is_deleted_has_failed() -> None:
    """Its time to live may be 0."""
    failed = replace(RUNNING, ended=True, terminating=True)
    assert decided(SEARCHING, failed).fail == (NAME,)
    assert decided(SEARCHING, failed).start == ()
    told = decided(Plan(Phase.SEARCHING, (), 1), replace(failed, has_result=True))
    assert (told.fail, told.drop, told.expire) == ((), (NAME,), ())
    assert decided(SEARCHING, replace(failed, ended=False, exhausted=True)).fail == ()


def test_a_time_to_live_that_something_else_set_is_postponed_once() -> None:
    given = replace(RUNNING, expires=True)
    assert decided(SEARCHING, given).postpone == (NAME,)
    for other in (
        replace(given, postponed=True),
        replace(given, ended=True),
        replace(given, terminating=True),
    ):
        assert decided(SEARCHING, other).postpone == ()


def test_a_job_whose_result_is_there_does_not_wait_for_a_foreign_container() -> None:
    done = replace(RUNNING, has_result=True, lingers=True, trainer_done=True)
    assert decided(Plan(Phase.SEARCHING, (), 1), done) == Steps(delete=(NAME,), propose=1)


def test_a_trainer_that_ended_well_without_a_result_is_failed_though_its_pod_lives() -> None:
    assert decided(SEARCHING, replace(RUNNING, trainer_done=True)).fail == (NAME,)


def test_pods_whose_trainer_failed_are_ended_where_their_job_goes_on() -> None:
    failed = replace(RUNNING, ends_pods=True)
    assert decided(SEARCHING, failed).end_pods == (NAME,)
    assert decided(SEARCHING, failed, SUSPENDED).end_pods == (), "its Job is deleted"
    assert decided(SEARCHING, replace(failed, has_result=True)).end_pods == ()
