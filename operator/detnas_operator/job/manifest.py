"""The objects that run a due job: a batch/v1 Job, and a Service if several workers must meet.

A pod with several GPUs launches a process for each. A pool's phase on several workers is an
Indexed Job whose pods meet at the first one; where JobSets are used, one contains that Job
(`jobset.py`).

If a rank is lost, for example of worker 2 of 4: The Job controller creates worker 2 again after
its backoff; it waits at the rendezvous. The others lose their connections to it, or hang in a
collective until its timeout (10 minutes); then they exit with 75, which ``podFailurePolicy``
ignores; they are created again too, all four meet, and all continue from the last checkpoint. So:

- The launcher must wait at the rendezvous as long as a collective may hang, and then exit with
  75: a worker that came early costs nothing but time.
- ``backoffLimit`` counts pods. Where a lost peer ends the others in some other way than 75, one
  event costs as many as there are workers: hence retries x workers. (backoffLimitPerIndex would
  let one rank's failures end the phase only for that rank, while the others wait forever.)
- Ignored pods do not count, but they do lengthen the controller's backoff (10 s, doubled for each
  pod that failed since the last success, 10 minutes at most).
- Exit 2 and 44, of earlier trainers 42 and 43, of any rank end the Job at once: every rank would
  end with the same code.
- The first worker writes the result, last. Once it has succeeded, the phase is done, whatever
  happens to the others: ``successPolicy`` states that, or one of them, killed while it shuts down,
  would be created again and wait for peers that never come.
"""

from detnas.exit_codes import INVALID, OUT_OF_MEMORY, ExitCode
from detnas.records.verbs import Verb
from detnas.spec.manifest import API_VERSION, KIND
from detnas_operator.cluster.labels import APP, APP_NAME, FOLDER, MANAGED_BY, MANAGER, SEARCH, VERB
from detnas_operator.cluster.objects import Object
from detnas_operator.configuration.settings import OperatorSettings, Tenant
from detnas_operator.job.environment import launch_environment, processes_of_pod
from detnas_operator.job.names import CONTAINER, own_labels, queue_labels, service_name
from detnas_operator.job.order import JobOrder, Owner
from detnas_operator.job.pod import pod_template
from detnas_operator.job.policy import job_fields

PORT = 29500
"""Port of the rendezvous; torch's default."""


def job_manifest(
    order: JobOrder, settings: OperatorSettings, tenant: Tenant, rendezvous: str = ""
) -> Object:
    """Return the Job of a due job, to be created once and never changed but for its TTL.

    No TTL is set: the Job must stay until its result is stored. What its pods request follows
    from the search and from the policy of its namespace as they are now.

    Args:
        order: what it is made from.
        settings: the administrator's.
        tenant: with whose service account and credentials it runs.
        rendezvous: host and port of the first of several workers, for the Job of a JobSet, which
            gives its pods their domain; by default they are in that of `service_manifest`.
    """
    rules = settings.rules(order.owner.namespace)
    fields = job_fields(order.spec.jobs, order.job_id.verb, rules)
    job: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(order),
        "spec": {
            "backoffLimit": order.spec.limits.retries,
            "podFailurePolicy": _failure_policy(),
            # Two pods of one job would spend GPUs on the same attempt.
            "podReplacementPolicy": "Failed",
            "template": pod_template(order, fields, settings, tenant),
        },
    }
    if order.deadline is not None:
        job["spec"]["activeDeadlineSeconds"] = order.deadline
    job["metadata"]["labels"] |= queue_labels(fields)
    if fields.queue_name:
        job["spec"]["suspend"] = True  # until Kueue admits it
    if order.workers > 1:
        return _as_workers(job, order, rendezvous)
    if processes_of_pod(order) > 1:
        job["spec"]["template"] = _launching(job, order, f"127.0.0.1:{PORT}")
    return job


def service_manifest(order: JobOrder) -> Object | None:
    """Return the Service of a search's pool, which must exist before the Job of each phase.

    None if the job has only one pod.
    """
    if order.workers == 1:
        return None
    labels = {APP: APP_NAME, MANAGED_BY: MANAGER, SEARCH: order.owner.name, VERB: str(Verb.POOL)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": service_name(order.owner.name),
            "namespace": order.owner.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(order.owner)],
        },
        "spec": {
            "clusterIP": "None",
            # Workers must find the first one before any of them is ready.
            "publishNotReadyAddresses": True,
            "selector": labels,
            "ports": [{"name": "rendezvous", "port": PORT, "targetPort": PORT}],
        },
    }


def owner_reference(owner: Owner) -> Object:
    """Return the owner reference by which an object is deleted with its search."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _as_workers(job: Object, order: JobOrder, rendezvous: str) -> Object:
    """Return the Job of one pod as one of ``order.workers`` pods that work together."""
    service = service_name(order.owner.name)
    # The Job controller names the host of each pod <job>-<index>, the Service its domain.
    template = _launching(job, order, rendezvous or f"{order.name}-0.{service}:{PORT}")
    (container,) = template["spec"]["containers"]
    container["ports"] = [{"name": "rendezvous", "containerPort": PORT}]
    if not rendezvous:
        template["spec"]["subdomain"] = service
    spec = job["spec"] | {
        "completionMode": "Indexed",
        "completions": order.workers,
        "parallelism": order.workers,
        "backoffLimit": order.spec.limits.retries * order.workers,
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]},
        "template": template,
    }
    return job | {"spec": spec}


def _launching(job: Object, order: JobOrder, host: str) -> Object:
    """Return the pod template whose container launches a process for each of its GPUs."""
    template = job["spec"]["template"]
    (container,) = template["spec"]["containers"]
    container = container | {
        "command": ["detnas-trainer", "launch", str(order.job_id.verb), order.uri],
        "env": [*container["env"], *launch_environment(order, host)],
    }
    launching: Object = template["spec"] | {"containers": [container]}
    return {**template, "spec": launching}


def _metadata(order: JobOrder) -> Object:
    return {
        "name": order.name,
        "namespace": order.owner.namespace,
        "labels": own_labels(order.owner.name, order.job_id),
        "annotations": {FOLDER: order.folder},
        "ownerReferences": [owner_reference(order.owner)],
    }


def _failure_policy() -> Object:
    """The first rule that matches applies; other exits count towards ``backoffLimit``."""
    return {
        "rules": [
            {
                "action": "Ignore",
                "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
            },
            _on_exit("Ignore", ExitCode.INTERRUPTED),
            _on_exit("FailJob", ExitCode.USAGE, INVALID, OUT_OF_MEMORY, ExitCode.DATA_CHANGED),
        ]
    }


def _on_exit(action: str, *codes: int) -> Object:
    values = [int(code) for code in codes]
    on_codes = {"containerName": CONTAINER, "operator": "In", "values": values}
    return {"action": action, "onExitCodes": on_codes}
