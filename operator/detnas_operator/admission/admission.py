"""Whether a search is accepted: decided before anything of it is stored or started."""

from dataclasses import dataclass, replace

from detnas.reasons import Reason, ReasonCode
from detnas.resource.transitions import APPLIED_AGAIN
from detnas.spec.batch_shares import unequal_shares
from detnas.spec.explain import ManifestError
from detnas.spec.loading import read_manifest
from detnas.spec.manifest import API_VERSION, KIND, DetNASSearch, SearchSpec
from detnas.weights_file import WeightsFileError, check_address
from detnas_operator.admission.location import location
from detnas_operator.cluster.searches import SearchView
from detnas_operator.configuration.job_policy import Rules
from detnas_operator.configuration.settings import OperatorSettings, Tenant
from detnas_operator.configuration.storage import pool_key, search_key
from detnas_operator.job.policy import sources, violations


@dataclass(frozen=True, slots=True)
class Admitted:
    """An accepted search, and where it is stored.

    Attributes:
        manifest: checked, defaults filled in.
        root: URI of its store's root.
        tenant: whose service account and credentials its Jobs use.
        image: of the trainer.
        pools_namespace: first part of its pool's key: the namespace, or ``shared``.
        existing_pool: key of the supplied pool; None if it trains or shares one by digest.
        violation: how it violates the administrator's policy, if it did not when it was accepted.
    """

    manifest: DetNASSearch
    root: str
    tenant: Tenant
    image: str
    pools_namespace: str
    existing_pool: str | None = None
    violation: Reason | None = None


def admit(search: SearchView, settings: OperatorSettings) -> Admitted | Reason:
    """Decide whether a search may run.

    Args:
        search: the custom resource.
        settings: what the administrator allows.
    """
    namespace = search.namespace
    try:
        manifest = parse(search)
    except ManifestError as error:
        return Reason(ReasonCode.INVALID_SPEC, "; ".join(map(str, error.problems)))
    tenant = settings.tenant(namespace)
    if tenant is None:
        return Reason(
            ReasonCode.CREDENTIALS_MISSING,
            f"namespace {namespace} has no trainer service account and no S3 credentials; ask the "
            "administrator to add it to the chart's value namespaces",
        )
    spec = manifest.spec
    if reason := _missing_data_set(spec) or _unfetched_files(spec) or _forbidden_priority(spec):
        return reason
    # A search that an earlier version accepted continues, with a warning in its status.
    if not search.is_accepted and (unequal := unequal_shares(spec)):
        return Reason(ReasonCode.INVALID_SPEC, f"{'; '.join(map(str, unequal))}, {APPLIED_AGAIN}")
    placed = _placed(search, manifest, settings, tenant)
    violation = policy_violation(spec, settings.rules(namespace))
    if violation is None or isinstance(placed, Reason):
        return placed
    # A later rule does not stop a search that has begun, but no more of its Jobs are started.
    return replace(placed, violation=violation) if search.is_accepted else violation


def parse(search: SearchView) -> DetNASSearch:
    """Read the custom resource as a manifest; the API server's own fields are left out.

    Raises:
        ManifestError: it is not a DetNASSearch; every problem is named.
    """
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": search.name, "namespace": search.namespace},
        "spec": search.spec,
    }
    return read_manifest(document, f"{search.namespace}/{search.name}")


def _missing_data_set(spec: SearchSpec) -> Reason | None:
    source = spec.dataset.source
    if source.persistent_volume_claim is None and source.s3 is None:
        return Reason(
            ReasonCode.DATA_SET_MISSING,
            "spec.dataset.source names only a folder of one machine; name a "
            f"persistentVolumeClaim or an s3:// URI that holds the data set, {APPLIED_AGAIN}",
        )
    return None


def _unfetched_files(spec: SearchSpec) -> Reason | None:
    for field, address in spec.named_files.items():
        try:
            check_address(address)
        except WeightsFileError as error:
            problem = f"spec.{field}: {error}"
            return Reason(ReasonCode.INVALID_SPEC, f"{problem}, {APPLIED_AGAIN}")
    return None


def _forbidden_priority(spec: SearchSpec) -> Reason | None:
    for where, fields in sources(spec.jobs):
        priority = fields.priority_class_name or ""
        if priority.startswith("system-"):
            return Reason(
                ReasonCode.PRIORITY_FORBIDDEN,
                f"{where}.priorityClassName: {priority} is for the cluster's own pods, which "
                "others give way to; name another or none",
            )
    return None


def policy_violation(spec: SearchSpec, rules: Rules) -> Reason | None:
    """Return how a search violates the administrator's rules; None if it does not."""
    problems = violations(spec, rules)
    return Reason(ReasonCode.POLICY_VIOLATION, "; ".join(problems)) if problems else None


def _placed(
    search: SearchView, manifest: DetNASSearch, settings: OperatorSettings, tenant: Tenant
) -> Admitted | Reason:
    spec, namespace = manifest.spec, manifest.metadata.namespace
    placed = location(search, spec, settings.storage)
    if isinstance(placed, Reason):
        return placed
    root, pool = placed.root, spec.teachers.pool
    shared = settings.storage.shared_pools
    key = None if pool is None else pool_key(pool, root, namespace, shared=shared)
    if isinstance(key, Reason):
        return key
    warm = spec.warm_start.search if spec.warm_start else ""
    source = search_key(warm, root, namespace) if "://" in warm else None
    if isinstance(source, Reason):
        return source
    return Admitted(
        manifest=manifest,
        root=root,
        tenant=tenant,
        image=spec.jobs.image or settings.trainer.image,
        pools_namespace=placed.pools_namespace,
        existing_pool=key,
    )
