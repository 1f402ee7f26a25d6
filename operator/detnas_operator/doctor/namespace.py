"""A namespace: rights, tenant, quotas, and what a search names in it."""

from collections.abc import Iterator

from detnas.findings import Finding, doubtful, faulty, good
from detnas.reasons import Reason
from detnas.spec.manifest import SearchSpec
from detnas_operator.check import Rights, permissions
from detnas_operator.cluster import PLURAL, KubernetesClient
from detnas_operator.cluster.objects import Object
from detnas_operator.configuration.storage import store_root
from detnas_operator.doctor.asking import asked
from detnas_operator.doctor.installed import Installed
from detnas_operator.doctor.needs import Needs
from detnas_operator.job.policy import amount

TO_SEARCH: Rights = {(PLURAL, ""): ("create", "get", "list", "watch", "patch", "delete")}
"""What a user does with searches: `kubectl apply`, `get`, `describe`, `delete`."""

TO_UNDERSTAND: Rights = {
    ("pods", ""): ("get", "list"),
    ("pods", "log"): ("get",),
    ("events", ""): ("list",),
}
"""What explains why one does not run."""


def right_findings(client: KubernetesClient, namespace: str) -> Iterator[Finding]:
    """Ask what the user may do in a namespace."""
    grant = "have the role edit bound to you there: the chart's aggregatedRoles extend it"
    yield from permissions(client, namespace, TO_SEARCH, grant)
    for finding in permissions(client, namespace, TO_UNDERSTAND, grant):
        # Without them searches run, and their pods cannot be looked at.
        yield doubtful(finding.what, finding.found, finding.remedy) if finding.remedy else finding


def tenant_findings(
    client: KubernetesClient, namespace: str, installed: Installed
) -> Iterator[Finding]:
    """Whether searches may run in a namespace, with the objects that their pods need."""
    if installed.settings is None:
        return
    tenant = installed.tenant
    if tenant is None:
        yield faulty(
            f"namespace {namespace}",
            "the operator runs no searches there",
            "list it in the chart's namespaces: helm upgrade",
        )
        return
    yield good(f"namespace {namespace}", "the operator runs searches there")
    yield _exists(client, "serviceaccounts", namespace, tenant.service_account)
    if tenant.credentials_secret:
        yield _exists(client, "secrets", namespace, tenant.credentials_secret)


def _exists(client: KubernetesClient, kind: str, namespace: str, name: str) -> Finding:
    what = f"{kind.removesuffix('s')} {namespace}/{name}"
    found = asked(what, lambda: client.get(kind, namespace, name))
    if isinstance(found, Finding):
        return found
    if found is None:
        return faulty(what, "does not exist", "create it, or run helm upgrade: the chart has it")
    return good(what, "exists")


def quota_findings(client: KubernetesClient, namespace: str, needs: Needs) -> Iterator[Finding]:
    """Compare quotas of a namespace with what jobs request.

    Args:
        client: of the user.
        namespace: of the search.
        needs: of its jobs.
    """
    quotas = asked("quotas", lambda: list(client.list("resourcequotas", namespace)))
    if isinstance(quotas, Finding):
        yield quotas
        return
    key = f"requests.{needs.resource}"
    limiting = [one for one in quotas if key in one.get("spec", {}).get("hard", {})]
    if not limiting:
        yield good("quotas", f"none limits {needs.resource}")
    for quota in limiting:
        yield _within(quota, key, needs)


def _within(quota: Object, key: str, needs: Needs) -> Finding:
    what = f"ResourceQuota {quota['metadata']['name']}"
    hard = int(amount(quota["spec"]["hard"][key]))
    used = int(amount(quota.get("status", {}).get("used", {}).get(key, "0")))
    found = f"{used} of {hard} {needs.resource} used"
    if hard < needs.job:
        return faulty(what, f"{found}, and one job requests {needs.job}", "raise it")
    if hard - used < needs.together:
        return doubtful(
            what,
            f"{found}, and {needs.together} are requested at once",
            "raise it, or lower search.parallelism: jobs wait for each other",
        )
    return good(what, found)


def data_findings(
    client: KubernetesClient, namespace: str, spec: SearchSpec, installed: Installed
) -> Iterator[Finding]:
    """Look at the volume of the data set, and at where the search would be stored."""
    source = spec.dataset.source
    if source.persistent_volume_claim is not None:
        yield _claim(client, namespace, source.persistent_volume_claim.claim_name)
    elif source.s3 is None:
        yield faulty(
            "spec.dataset.source",
            "names no source that a cluster can read",
            "add persistentVolumeClaim or s3",
        )
    if installed.settings is not None:
        stated = spec.storage.uri if spec.storage else None
        root = store_root(stated, installed.settings.storage, namespace)
        if isinstance(root, Reason):
            yield faulty("store", root.message, "")
        else:
            yield good("store", root)


def _claim(client: KubernetesClient, namespace: str, name: str) -> Finding:
    what = f"PersistentVolumeClaim {namespace}/{name}"
    claim = asked(what, lambda: client.get("persistentvolumeclaims", namespace, name))
    if isinstance(claim, Finding):
        return claim
    if claim is None:
        return faulty(what, "does not exist", "create it with the data set in it, or correct it")
    phase = claim.get("status", {}).get("phase", "Pending")
    if phase == "Bound":
        return good(what, "bound")
    if phase == "Pending":
        return doubtful(
            what,
            "not bound yet",
            "no data is in it: if its storage class binds at the first pod, run one that fills it",
        )
    return faulty(what, phase, "its volume is gone: restore the volume, or make another claim")
