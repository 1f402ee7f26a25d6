"""A pool's phase on several workers: an Indexed Job whose pods meet at the first one.

How a lost rank plays out. Say worker 2 of 4 dies. The Job controller creates worker 2 anew after
its back-off; that one waits at the rendezvous. The others hang in a collective until its timeout,
then their launcher exits with 75 (a peer was lost), which ``podFailurePolicy`` ignores; they are
created anew too, all four meet, and all go on from the last checkpoint. So:

- The launcher must wait at the rendezvous longer than a collective may hang, and then exit with
  75: a worker that came early costs nothing but time.
- ``backoffLimit`` counts pods. Where a lost peer ends the others in some other way than 75, one
  event costs as many as there are workers: hence retries x workers. (backoffLimitPerIndex would
  let one rank's failures end the phase only for that rank, while the others wait for ever.)
- Ignored pods do not count, but they do lengthen the controller's back-off (10 s, doubled for each
  pod that failed since the last success, 10 minutes at most).
- Exit 2 and 44, of earlier trainers 42 and 43, of any rank end the Job at once: every rank would
  come to the same.
- The first worker writes the result, last. Once it has ended well, the phase is done, whatever
  becomes of the others: ``successPolicy`` says so, or one of them, killed while it says good-bye,
  would be created anew and wait for peers that never come.
"""

from typing import Any

from detnas.plan.stages import Verb
from detnas_operator.job.environment import rendezvous
from detnas_operator.job.labels import APP, APP_NAME, MANAGED_BY, MANAGER, SEARCH, VERB
from detnas_operator.job.names import service_name
from detnas_operator.job.order import JobOrder

Object = dict[str, Any]

PORT = 29500
"""Of the rendezvous; torch's customary one."""


def as_workers(job: Object, order: JobOrder) -> Object:
    """Return the Job of one pod as one of ``order.workers`` pods that work together."""
    service = service_name(order.owner.name)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    # The Job controller names the host of each pod <job>-<index>, the Service its domain.
    meeting = rendezvous(order, f"{order.name}-0.{service}:{PORT}")
    container = container | {
        "command": ["detnas-trainer", "launch", str(order.due.verb), order.uri],
        "env": [*container["env"], *meeting],
        "ports": [{"name": "rendezvous", "containerPort": PORT}],
    }
    template = job["spec"]["template"] | {
        "spec": pod | {"subdomain": service, "containers": [container]}
    }
    spec = job["spec"] | {
        "completionMode": "Indexed",
        "completions": order.workers,
        "parallelism": order.workers,
        "backoffLimit": order.spec.limits.retries * order.workers,
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]},
        "template": template,
    }
    return job | {"spec": spec}


def pool_service(order: JobOrder, owner: Object) -> Object:
    """Return the headless Service of a search's pool: one for all of its phases."""
    known = {APP: APP_NAME, MANAGED_BY: MANAGER, SEARCH: order.owner.name, VERB: str(Verb.POOL)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": service_name(order.owner.name),
            "namespace": order.owner.namespace,
            "labels": known,
            "ownerReferences": [owner],
        },
        "spec": {
            "clusterIP": "None",
            # Workers must find the first one before anybody is ready.
            "publishNotReadyAddresses": True,
            "selector": known,
            "ports": [{"name": "rendezvous", "port": PORT, "targetPort": PORT}],
        },
    }
