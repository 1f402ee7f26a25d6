"""What a search takes from its record in the store, and whether that may be used.

The record is stored where the tenant's jobs can write: it decides neither the search's identity nor
what its pods may request.
"""

from dataclasses import replace

from detnas.lifecycle.blocked import BlockedError
from detnas.reasons import ReasonCode
from detnas.spec.batch_shares import unequal_shares
from detnas.spec.manifest import DetNASSearch
from detnas_operator.admission.admission import Admitted, policy_violation
from detnas_operator.cluster.searches import SearchView
from detnas_operator.configuration.job_policy import Rules
from detnas_operator.job.policy import image_violation

_FROM_THE_RESOURCE = (
    "suspend",
    "limits",
    "deadlines",
    "retention",
    "storage",
    "jobs",
    "warm_start",
)


def with_changeable_fields_of(recorded: DetNASSearch, current: DetNASSearch) -> DetNASSearch:
    """Return the recorded search with the current values of the fields that may change.

    The record takes precedence: an operator with other defaults changes no running search. But
    the record is stored where the tenant's jobs can write. So the search's identity, what its pods
    may request, and where it reads come from the resource alone, where they cannot change.
    """
    spec, now = recorded.spec, current.spec
    search = spec.search.model_copy(
        update={name: getattr(now.search, name) for name in ("trials", "parallelism", "patience")}
    )
    dataset = spec.dataset.model_copy(update={"source": now.dataset.source})
    teachers = spec.teachers.model_copy(update={"pool": now.teachers.pool})
    merged = spec.model_copy(
        update={
            "search": search,
            "dataset": dataset,
            "teachers": teachers,
            **{name: getattr(now, name) for name in _FROM_THE_RESOURCE},
        }
    )
    return recorded.model_copy(update={"metadata": current.metadata, "spec": merged})


def judge_record(
    admitted: Admitted, search: SearchView, image: str, rules: Rules, record: str
) -> Admitted:
    """Check what a search takes from its record, as `admit` checks what the resource requests.

    The record is stored where the tenant may write: neither an image nor GPUs that the policy
    forbids come from there.

    Args:
        admitted: with the manifest that record and resource make together.
        search: the custom resource.
        image: that the record alone names; empty if it names none, or the status names one.
        rules: of the search's namespace.
        record: URI of the record.

    Raises:
        BlockedError: nothing of it may be started.
    """
    remedy = (
        f"restore {record}, begin from scratch under another name, or ask the administrator to "
        "allow it"
    )
    is_recorded = image not in ("", admitted.image)
    # Also for a search that has begun: the image that its status names later is not judged again.
    if is_recorded and (problem := image_violation(f"{record}: image", image, rules, remedy)):
        raise BlockedError(ReasonCode.POLICY_VIOLATION, problem)
    begun, spec = search.is_accepted, admitted.manifest.spec
    if admitted.violation is None and (violation := policy_violation(spec, rules)):
        if not begun:
            raise BlockedError(
                ReasonCode.POLICY_VIOLATION, f"{record}: {violation.message}", remedy
            )
        message = f"{record}: {violation.message}; {remedy}"
        return replace(admitted, violation=replace(violation, message=message))
    if not begun and (unequal := unequal_shares(spec)):
        raise BlockedError(
            ReasonCode.INVALID_SPEC, f"{record}: {'; '.join(map(str, unequal))}", remedy
        )
    return admitted
