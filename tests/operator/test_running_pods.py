"""GPU time is what pods hold of nodes, not how long a Job has been there."""

from datetime import timedelta

from detnas_operator.lookups.running_pods import RunningPods
from tests.operator.job.objects import NOW, a_job, a_pod, at, running, waiting


def test_waiting_for_a_node_is_no_gpu_time() -> None:
    """A full cluster must not use up the budget of the searches that wait for it."""
    job = a_job(active=1)
    pods = RunningPods()
    assert pods.seconds(job, NOW) == 0
    pods.look_up([job], [a_pod(node="")], NOW)
    assert pods.seconds(job, NOW + timedelta(hours=9)) == 0


def test_a_pod_on_a_node_holds_its_gpus_while_it_starts_and_runs() -> None:
    job = a_job(active=1)
    pods = RunningPods()
    pods.look_up([job], [waiting("ContainerCreating", startTime=at(240))], NOW)
    assert pods.seconds(job, NOW) == 60


def test_time_goes_on_between_two_looks_for_every_pod_that_is_ready() -> None:
    job = a_job(active=2, ready=2)
    pods = RunningPods()
    pods.look_up(
        [job], [running("one", 0, startTime=at(0)), running("two", 0, startTime=at(100))], NOW
    )
    assert pods.seconds(job, NOW) == 300 + 200
    assert pods.seconds(job, NOW + timedelta(seconds=10)) == 520


def test_jobs_that_run_no_more_are_forgotten() -> None:
    job = a_job(active=1)
    pods = RunningPods()
    pods.look_up([job], [running("one", 0, startTime=at(0))], NOW)
    pods.look_up([], [], NOW)
    assert pods.seconds(job, NOW) == 0
