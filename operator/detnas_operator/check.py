"""`detnas-operator check`: whether CRD, permissions and S3 are as the operator needs them.

Each check writes one line; for a failed check it says what to do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from detnas.errors import UserError
from detnas.store import open_store
from detnas.store.errors import StoreError
from detnas_operator.cluster import PLURAL, KubernetesClient, NotFound
from detnas_operator.cluster.connection import connect
from detnas_operator.configuration.settings import ANY_NAMESPACE, OperatorSettings
from detnas_operator.configuration.store_advice import for_a_cluster

Rights = dict[tuple[str, str], tuple[str, ...]]

TO_WATCH: Rights = {
    (PLURAL, ""): ("get", "list", "watch", "patch"),
    (PLURAL, "status"): ("get", "patch"),
    ("jobs", ""): ("get", "list", "watch"),
    ("jobsets", ""): ("get", "list", "watch"),
    ("pods", ""): ("get", "list"),
    ("events", ""): ("list", "create"),
}
"""Verbs by resource and subresource, wherever the operator watches."""

TO_WORK: Rights = {
    (PLURAL, "finalizers"): ("update",),
    ("jobs", ""): ("create", "patch", "delete"),
    ("jobsets", ""): ("create", "patch", "delete"),
    ("pods", ""): ("delete",),
    ("pods", "log"): ("get",),
    ("services", ""): ("get", "create"),
    ("workloads", ""): ("list",),
}
"""What it needs in addition in the namespaces of tenants. The chart's roles grant exactly these
two sets."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check, which passed if ``problem`` is None."""

    what: str
    problem: UserError | None = None

    def __str__(self) -> str:
        return f"FAIL  {self.what}: {self.problem}" if self.problem else f"ok    {self.what}"


_UNTESTED = (
    "the S3 keys of the namespaces are not tested, since the operator may not read Secrets: the "
    "first Job of a search, <search>-prepare, says whether they work"
)


def check(settings: OperatorSettings, write: Callable[[str], object]) -> bool:
    """Run every check, write a line for each, and return whether all passed."""
    sound = True
    for finding in _findings(settings):
        write(f"{finding}\n")
        sound = sound and finding.problem is None
    write(f"note  {_UNTESTED}\n")
    return sound


def _findings(settings: OperatorSettings) -> Iterator[Finding]:
    try:
        client = KubernetesClient(connect(connections=1))
    except UserError as error:
        yield Finding("Kubernetes API", error)
    else:
        scopes: tuple[str | None, ...] = settings.namespaces or (None,)
        yield _crd(client, scopes[0])
        for scope in scopes:
            yield from _permissions(client, scope, TO_WATCH)
        for tenant in settings.tenants:
            if tenant.namespace != ANY_NAMESPACE:
                yield from _permissions(client, tenant.namespace, TO_WORK)
    yield _store(settings.storage.default or settings.storage.allowed[0])


def _crd(client: KubernetesClient, namespace: str | None) -> Finding:
    what = "CRD detnassearches.detnas.dev is served"
    try:
        next(iter(client.list(PLURAL, namespace, limit=1)), None)
    except NotFound as error:
        remedy = "install it: helm upgrade with crds.enabled=true, or kubectl apply -f its file"
        return Finding(what, UserError(f"the API server does not know it ({error.status})", remedy))
    except UserError as error:
        return Finding(what, error)
    return Finding(what)


def _permissions(
    client: KubernetesClient, namespace: str | None, rights: Rights
) -> Iterator[Finding]:
    for (kind, subresource), verbs in rights.items():
        yield _permission(client, namespace, kind, subresource, verbs)


def _permission(
    client: KubernetesClient,
    namespace: str | None,
    kind: str,
    subresource: str,
    verbs: tuple[str, ...],
) -> Finding:
    resource = f"{kind}/{subresource}" if subresource else kind
    place = f"in {namespace}" if namespace else "in all namespaces"
    what = f"may {', '.join(verbs)} {resource} {place}"
    try:
        missing = [v for v in verbs if not client.allowed(v, kind, namespace, subresource)]
    except UserError as error:
        return Finding(what, error)
    if not missing:
        return Finding(what)
    remedy = "grant it to the operator's service account: helm upgrade with rbac.create=true"
    return Finding(what, UserError(f"{', '.join(missing)} refused", remedy))


def _store(uri: str) -> Finding:
    what = f"store {uri} can be used"
    try:
        open_store(uri).probe()
    except StoreError as error:
        return Finding(what, for_a_cluster(error))
    except UserError as error:
        return Finding(what, error)
    return Finding(what)
