"""What policies, controllers and people do to Jobs: the search works, or says what to do."""

import re
from functools import partial
from typing import Any

from tests.cluster.admission import limit
from tests.cluster.api import JOBS, SEARCHES, Document
from tests.cluster.scripts import succeeds
from tests.operator.harness.behaviours import leaves_a_checkpoint
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search

NAMESPACES = 4
FINALIZER = "kueue.x-k8s.io/held"


def change(search: Search, ending: str, **metadata: Any) -> Document:
    """Change the metadata of a Job, as a policy or another controller does."""
    api = search.harness.cluster.api
    return api.patch(JOBS, search.namespace, search.name + ending, {"metadata": metadata})


def labels(search: Search, ending: str) -> dict[str, str]:
    job = search.job(ending)
    return dict(job["metadata"]["labels"]) if job else {}


def test_rewritten_labels_are_restored_or_reported_and_hide_no_job(harness: Harness) -> None:
    harness.on("relabelled-t0000", leaves_a_checkpoint(harness.trainer))
    search = harness.begin("relabelled", trials=1)
    search.until_runs("-t0000")
    before = labels(search, "-t0000")
    others = {
        "app.kubernetes.io/managed-by": "policy",
        "detnas.dev/search": None,
        "detnas.dev/verb": None,
        "detnas.dev/number": "9",
    }
    change(search, "-t0000", labels=others)
    search.until(lambda: labels(search, "-t0000") == before)
    assert search.has_condition("Degraded", "False", "NothingWrong")

    change(search, "-t0000", labels=others)
    search.until_condition("Degraded", "True", "LabelsChanged")
    said = search.condition("Degraded")["message"]
    assert "Job relabelled-t0000" in said
    for label in ("detnas.dev/search", "detnas.dev/verb", "detnas.dev/number"):
        assert label in said

    search.patch(suspend=True)
    search.until(lambda: search.job("-t0000") is None)
    search.until(lambda: not search.live_pods())
    harness.on("relabelled-t0000", succeeds(work=harness.trainer))
    search.until_condition("Suspended", "True", "SuspendedByUser")
    search.patch(suspend=False)
    search.until_phase("Succeeded")
    assert search.trials["succeeded"] == 1


def test_foreign_finalizer_that_keeps_a_suspended_job_is_named(harness: Harness) -> None:
    harness.on("held-t0000", leaves_a_checkpoint(harness.trainer))
    search = harness.begin("held", trials=1)
    pod = search.until_runs("-t0000")
    change(search, "-t0000", finalizers=[FINALIZER])
    search.patch(suspend=True)
    search.until_condition("Degraded", "True", "PodsStopping")
    said = search.condition("Degraded")["message"]
    assert f"pod {pod.name} on node" in said
    assert f"Job held-t0000 is deleted, but it waits for the finalizer {FINALIZER}" in said
    assert "no job runs" not in search.condition("Suspended")["message"]
    assert search.live_pods()

    search.patch(suspend=False)
    search.until_condition("Degraded", "True", "NameTaken")
    assert FINALIZER in search.condition("Degraded")["message"]
    harness.on("held-t0000", succeeds(work=harness.trainer))
    change(search, "-t0000", finalizers=None)
    search.until_phase("Succeeded")
    search.until_condition("Degraded", "False", "NothingWrong")


def _command_that_deletes(search: Search, names: list[str]) -> re.Match[str] | None:
    """Return the command in the search's message, once it names these Jobs and perhaps t0000."""
    if not search.has_condition("Degraded", "True", "NameTaken"):
        return None
    said = search.condition("Degraded")["message"]
    pattern = r"--cascade=orphan; .*: kubectl (delete jobs --namespace \S+(?: orphan-[\w-]+)+)"
    command = re.search(pattern, said)
    found = command[1].removesuffix(" orphan-t0000").split()[4:] if command else []
    return command if found == names else None


def _expires(search: Search, ending: str) -> bool:
    return "ttlSecondsAfterFinished" in (search.job(ending) or {"spec": {}})["spec"]


def test_orphaned_jobs_of_an_earlier_search_are_named_with_the_command(harness: Harness) -> None:
    harness.on("orphan-t0000", leaves_a_checkpoint(harness.trainer))
    first = harness.begin("orphan", trials=1)
    first.until_runs("-t0000")
    # The operator deletes what runs of a deleted search: the others must have ended for it.
    first.until(lambda: all(_expires(first, job) for job in ("-prepare", "-base", "-pool-0")))
    api = harness.cluster.api
    api.delete(SEARCHES, first.namespace, "orphan", propagationPolicy="Orphan")
    first.until_gone()
    harness.on("orphan-t0000", succeeds(work=harness.trainer))
    body = {**first.body, "spec": {**first.body["spec"], "search": {"trials": 1, "seed": 9}}}
    second = Search(harness, body).apply()
    # Kubernetes makes orphans of them one by one.
    ended = ["orphan-base", "orphan-pool-0", "orphan-prepare"]
    command = second.until(partial(_command_that_deletes, second, ended))
    assert f"--namespace {first.namespace} " in command[1]
    harness.cluster.kubectl(*command[1].split())
    second.until_phase("Succeeded")


def test_quota_on_jobs_is_met_by_deleting_ended_jobs(harness: Harness) -> None:
    namespace = harness.namespace()
    limit(harness.cluster.api, namespace, {"count/jobs.batch": "3"})
    search = harness.begin("counted", namespace=namespace, trials=2, parallelism=1)
    search.until_phase("Succeeded")
    assert search.trials["succeeded"] == 2
    assert len(search.jobs()) <= 3
    told = [event["message"] for event in search.events("QuotaExceeded")]
    assert told
    assert all("exceeded quota: limits, requested: count/jobs.batch=1" in said for said in told)
    made_room = r"Job counted-\S+ of this search, which had ended, was deleted to make room"
    assert re.search(made_room, told[0]), told
