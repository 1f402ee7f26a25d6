"""A pod of the trainer's image that runs `detnas doctor` where jobs would run, and is deleted."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from detnas.findings import Finding, doubtful, faulty, good, refused
from detnas.plan.dataset import data_root
from detnas.plan.stages import JobId
from detnas.reasons import Reason, ReasonCode
from detnas.records.verbs import Verb
from detnas.spec import DetNASSearch
from detnas_operator.cluster import ClusterError, KubernetesClient
from detnas_operator.cluster.errors import Refused
from detnas_operator.cluster.objects import Object
from detnas_operator.cluster.pods import EventView, PodView
from detnas_operator.configuration.settings import OperatorSettings, Tenant
from detnas_operator.configuration.storage import store_root
from detnas_operator.job.names import CONTAINER
from detnas_operator.job.order import JobOrder, Owner
from detnas_operator.job.pod import pod_template
from detnas_operator.job.policy import job_fields
from detnas_operator.job_state.pod_waits import pod_wait

SECONDS = 600
"""A pod ends by itself after this, also if nobody is left to delete it."""

_PAUSE = 2.0
_LOG_LINES, _LOG_BYTES = 2000, 1 << 20
_SCRIPT = (
    'manifest=$(mktemp --suffix .yaml) && printf %s "$DETNAS_MANIFEST" > "$manifest" && '
    'exec detnas doctor "$manifest" --store "$0" --output json'
)
_LABELS = {"app.kubernetes.io/name": "detnas-doctor", "app.kubernetes.io/part-of": "detnas"}
_HOPELESS = {ReasonCode.IMAGE_PULL}
"""Waits that time does not end."""


@dataclass(frozen=True)
class PodTrial:
    """A pod to be tried.

    Attributes:
        client: of the user, who may create pods.
        namespace: of the search.
        seconds: that it may take, the pull of the image included.
        pause: seconds between two looks at it.
        clock: monotonic, in seconds.
        sleep: waits for some seconds.
    """

    client: KubernetesClient
    namespace: str
    seconds: float = SECONDS
    pause: float = _PAUSE
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def findings(self, pod: Object) -> Iterator[Finding]:
        """Run the pod to its end and yield what it found; it is deleted in any case."""
        name = pod["metadata"]["name"]
        try:
            self.client.create("pods", self.namespace, pod)
        except Refused as error:
            yield doubtful("pod", error.problem, "ask for the right to create pods here")
            return
        except ClusterError as error:
            yield refused("pod", error)
            return
        try:
            yield from self._of_running(name)
        except ClusterError as error:
            yield refused("pod", error)
        finally:
            self.client.delete("pods", self.namespace, name, grace=0)

    def _of_running(self, name: str) -> Iterator[Finding]:
        until = self.clock() + self.seconds
        while True:
            body = self.client.get("pods", self.namespace, name)
            if body is None:
                yield faulty("pod", f"{name} was deleted by somebody", "try again")
                return
            pod = PodView(body)
            if pod.has_ended:
                break
            waiting = pod_wait(pod, datetime.now(UTC), self._events(name))
            late = self.clock() > until
            if waiting is not None and (late or waiting.code in _HOPELESS):
                yield faulty("pod", f"{waiting.code}: {waiting.message}", "")
                return
            if late:
                yield faulty("pod", f"runs for more than {self.seconds:.0f} s", "see its log")
                return
            self.sleep(self.pause)
        yield good("pod", "the image was pulled, and it ran")
        yield from of_log(
            self.client.pod_log(self.namespace, name, CONTAINER, _LOG_LINES, _LOG_BYTES)
        )

    def _events(self, name: str) -> list[EventView]:
        try:
            fields = f"involvedObject.name={name}"
            return [
                EventView(one) for one in self.client.list("events", self.namespace, fields=fields)
            ]
        except ClusterError:  # they only explain
            return []


def of_log(text: str) -> Iterator[Finding]:
    """Yield the findings that `detnas doctor` printed in a pod, as JSON."""
    try:
        document = json.loads(text[text.index("{") :])
        found = [Finding.model_validate(one) for one in document["findings"]]
    except (ValueError, LookupError, TypeError, ValidationError):
        lines = text.strip().splitlines()
        said = lines[-1] if lines else "no output"
        yield doubtful("pod", f"its detnas printed no findings: {said}", "use a newer image")
        return
    for one in found:
        yield one.model_copy(update={"what": f"in a pod, {one.what}"})


def trial_pod(
    search: DetNASSearch, namespace: str, settings: OperatorSettings, tenant: Tenant
) -> Object | Reason:
    """Return a pod as a data check's, that runs `detnas doctor` in its place.

    Args:
        search: whose data and store are tried.
        namespace: of it.
        settings: of the operator.
        tenant: whose account and credentials it uses.
    """
    spec = search.spec
    root = store_root(spec.storage.uri if spec.storage else None, settings.storage, namespace)
    if isinstance(root, Reason):
        return root
    order = JobOrder(
        owner=Owner(search.metadata.name, namespace, ""),
        job_id=JobId(Verb.PREPARE),
        folder="doctor",
        store=root,
        spec=spec,
        image=spec.jobs.image or settings.trainer.image,
    )
    fields = job_fields(spec.jobs, Verb.PREPARE, settings.rules(namespace))
    template = pod_template(order, fields, settings, tenant)
    (container,) = template["spec"]["containers"]
    container["command"] = ["sh", "-c", _SCRIPT, root]
    container["env"].append({"name": "DETNAS_MANIFEST", "value": _manifest(search)})
    name = f"detnas-doctor-{secrets.token_hex(4)}"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": name, "labels": _LABELS},
        "spec": {**template["spec"], "activeDeadlineSeconds": SECONDS},
    }


def _manifest(search: DetNASSearch) -> str:
    """The search as the pod reads it: a volume is a folder there."""
    document = search.model_dump(mode="json", by_alias=True, exclude_unset=True)
    source = search.spec.dataset.source
    if source.persistent_volume_claim is not None:
        document["spec"]["dataset"]["source"] = {"directory": data_root(source, None)}
    return json.dumps(document)
