"""`detnas-operator check`: whether CRD, permissions and S3 are as the operator needs them.

Each check writes one line; for a failed check it says what to do.
"""

from collections.abc import Callable, Iterator

from detnas.errors import UserError
from detnas.findings import Finding, Verdict, faulty, good, refused
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


_GRANT = "grant it to the operator's service account: helm upgrade with rbac.create=true"
_MARKS = {Verdict.OK: "ok   ", Verdict.WARNING: "note ", Verdict.FAULT: "FAIL "}

_UNTESTED = (
    "the S3 keys of the namespaces are not tested, since the operator may not read Secrets: the "
    "first Job of a search, <search>-prepare, says whether they work"
)


def check(settings: OperatorSettings, write: Callable[[str], object]) -> bool:
    """Run every check, write a line for each, and return whether all passed."""
    sound = True
    for finding in _findings(settings):
        write(f"{_MARKS[finding.verdict]} {finding}\n")
        sound = sound and finding.verdict is Verdict.OK
    write(f"note  {_UNTESTED}\n")
    return sound


def _findings(settings: OperatorSettings) -> Iterator[Finding]:
    try:
        client = KubernetesClient(connect(connections=1))
    except UserError as error:
        yield refused("Kubernetes API", error)
    else:
        scopes: tuple[str | None, ...] = settings.namespaces or (None,)
        yield definition_served(client, scopes[0])
        for scope in scopes:
            yield from permissions(client, scope, TO_WATCH, _GRANT)
        for tenant in settings.tenants:
            if tenant.namespace != ANY_NAMESPACE:
                yield from permissions(client, tenant.namespace, TO_WORK, _GRANT)
    yield _store(settings.storage.default or settings.storage.allowed[0])


def definition_served(client: KubernetesClient, namespace: str | None) -> Finding:
    """Whether the API server knows searches, as seen in a namespace (None: in all)."""
    what = "CRD detnassearches.detnas.dev is served"
    try:
        next(iter(client.list(PLURAL, namespace, limit=1)), None)
    except NotFound as error:
        remedy = "install it: helm upgrade with crds.enabled=true, or kubectl apply -f its file"
        return faulty(what, f"the API server does not know it ({error.status})", remedy)
    except UserError as error:
        return refused(what, error)
    return good(what)


def permissions(
    client: KubernetesClient, namespace: str | None, rights: Rights, grant: str
) -> Iterator[Finding]:
    """Yield for each kind of object whether the caller has rights on it.

    Args:
        client: of the caller.
        namespace: None for all.
        rights: that are needed.
        grant: how to get those that are missing.
    """
    for (kind, subresource), verbs in rights.items():
        resource = f"{kind}/{subresource}" if subresource else kind
        place = f"in {namespace}" if namespace else "in all namespaces"
        what = f"may {', '.join(verbs)} {resource} {place}"
        try:
            missing = [v for v in verbs if not client.allowed(v, kind, namespace, subresource)]
        except UserError as error:
            yield refused(what, error)
            continue
        yield faulty(what, f"{', '.join(missing)} refused", grant) if missing else good(what)


def _store(uri: str) -> Finding:
    what = f"store {uri} can be used"
    try:
        open_store(uri).probe()
    except StoreError as error:
        return refused(what, for_a_cluster(error))
    except UserError as error:
        return refused(what, error)
    return good(what)
