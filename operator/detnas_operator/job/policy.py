"""What a search's Jobs request under the administrator's policy, or how they violate it.

Pure: the same search under the same rules is judged the same when it is accepted and when one of
its Jobs is created.
"""

from collections.abc import Iterator
from decimal import Decimal
from fnmatch import fnmatchcase

from pydantic.alias_generators import to_camel

from detnas.records.verbs import Verb
from detnas.resource.transitions import IN_A_NEW_SEARCH
from detnas.spec.jobs import BUILT_IN, JobFields, Jobs, KindFields, Resources, enforced, layered
from detnas.spec.manifest import SearchSpec
from detnas_operator.configuration.job_policy import Rules

KINDS = {
    Verb.PREPARE: "prepare",
    Verb.BASE: "base",
    Verb.POOL: "pool",
    Verb.EVALUATE: "trial",
    Verb.SUBNETS: "trial",
    Verb.EXTRACT: "trial",
    Verb.FINETUNE: "finetune",
    Verb.BASELINE: "finetune",
    Verb.TEST: "trial",
    Verb.EXPORT: "export",
}
"""Fields of ``spec.jobs`` for one kind of job."""

_NAMED = {
    "priority_class_name": "priority_class_names",
    "queue_name": "queue_names",
    "queue_priority_class": "queue_priority_classes",
    "runtime_class_name": "runtime_class_names",
    "scheduler_name": "scheduler_names",
}
_ANY_TIME = "change it: it may change at any time"
_UNITS = {
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTP", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTP", 1)},
    "m": Decimal("0.001"),
}


def job_fields(jobs: Jobs, verb: Verb, rules: Rules) -> JobFields:
    """Return what the pods of a kind of job request.

    From the lowest precedence to the highest: what is built in, the most that is allowed
    (of resources), the administrator's defaults, the search, the search for this kind, what is
    forced.

    Args:
        jobs: ``spec.jobs`` of the search.
        verb: kind of job.
        rules: of the search's namespace.
    """
    policy, own = rules.policy, getattr(jobs, KINDS[verb])
    named = JobFields(gpu_resource=rules.gpu_resource, resources=_core(policy.maximum.resources))
    layers = [BUILT_IN, named, policy.defaults, jobs, *([own] if own else [])]
    return enforced(layered(*layers), policy.forced)


def violations(spec: SearchSpec, rules: Rules) -> tuple[str, ...]:
    """Return how a search violates the rules: field, value, rule, and what would be right."""
    problems = [*_image(spec.jobs, rules), *_amounts(spec, rules)]
    for section, fields in sources(spec.jobs):
        problems += [*_names(section, fields, rules), *_devices(section, fields, rules)]
        problems += _resources(section, fields.resources or Resources(), rules)
    return tuple(problems)


def image_violation(field: str, image: str, rules: Rules, remedy: str) -> str:
    """Return how an image violates the rules; empty if it does not.

    Args:
        field: that names the image.
        image: of the trainer.
        rules: of the search's namespace.
        remedy: what to do about it.
    """
    allowed = rules.policy.allowed.images
    if is_allowed(image, allowed):
        return ""
    return _refused(field, image, rules.path("allowed", "images"), _listed(allowed), remedy)


def sources(jobs: Jobs) -> Iterator[tuple[str, KindFields]]:
    """Yield every section that describes pods, with its path."""
    yield "spec.jobs", jobs
    for kind in dict.fromkeys(KINDS.values()):
        if (fields := getattr(jobs, kind)) is not None:
            yield f"spec.jobs.{kind}", fields


def is_allowed(value: str, patterns: tuple[str, ...] | None) -> bool:
    """Whether a value matches one of the patterns; any value does if they are None."""
    return patterns is None or any(fnmatchcase(value, pattern) for pattern in patterns)


def amount(text: str) -> Decimal:
    """Return a quantity of Kubernetes as a number."""
    digits = text.rstrip("kKMGTPim")
    unit = text[len(digits) :]
    return Decimal(digits) * (_UNITS[unit] if unit else 1)


def _core(resources: Resources | None) -> Resources | None:
    """Without devices, which no pod gets unless it requests them."""
    return None if resources is None else resources.model_copy(update={"extended": None})


def _image(jobs: Jobs, rules: Rules) -> Iterator[str]:
    remedy = f"name another or none {IN_A_NEW_SEARCH}"
    if jobs.image and (problem := image_violation("spec.jobs.image", jobs.image, rules, remedy)):
        yield problem


def _names(section: str, fields: KindFields, rules: Rules) -> Iterator[str]:
    for name, listed in _NAMED.items():
        value, allowed = getattr(fields, name), getattr(rules.policy.allowed, listed)
        forced = getattr(rules.policy.forced, name) is not None
        if value and not forced and not is_allowed(value, allowed):
            rule = rules.path("allowed", listed)
            yield _refused(f"{section}.{to_camel(name)}", value, rule, _listed(allowed))


def _devices(section: str, fields: KindFields, rules: Rules) -> Iterator[str]:
    policy = rules.policy
    gpus = (rules.gpu_resource, *(policy.allowed.gpu_resources or ()))
    named = None if policy.forced.gpu_resource else fields.gpu_resource
    if named and not is_allowed(named, gpus):
        rule = rules.path("allowed", "gpu_resources")
        yield _refused(f"{section}.gpuResource", named, rule, _listed(gpus))
    others = policy.allowed.extended_resources or ()
    for name in (fields.resources and fields.resources.extended) or ():
        if is_allowed(name, gpus) or not is_allowed(name, others):
            rule = rules.path("allowed", "extended_resources")
            yield _refused(f"{section}.resources.extended", name, rule, _listed(others))


def _resources(section: str, requested: Resources, rules: Rules) -> Iterator[str]:
    most = rules.policy.maximum.resources or Resources()
    for name in ("cpu", "memory", "ephemeral_storage"):
        value, bound = getattr(requested, name), getattr(most, name)
        if value and bound and amount(value) > amount(bound):
            rule = rules.path("maximum", f"resources.{name}")
            yield _refused(f"{section}.resources.{to_camel(name)}", value, rule, f"at most {bound}")
    for name, value in (requested.extended or {}).items():
        bound = (most.extended or {}).get(name)
        if bound and amount(value) > amount(bound):
            rule, field = (
                rules.path("maximum", "resources.extended"),
                f"{section}.resources.extended",
            )
            yield _refused(field, f"{name} {value}", rule, f"at most {bound}")


def _amounts(spec: SearchSpec, rules: Rules) -> Iterator[str]:
    most, lower = rules.policy.maximum, f"lower it {IN_A_NEW_SEARCH}"
    amounts = [
        ("spec.base.gpus", spec.base.gpus, "gpus", lower),
        ("spec.teachers.gpusPerWorker", spec.teachers.gpus_per_worker, "gpus", lower),
        ("spec.evaluation.gpus", spec.evaluation.gpus, "gpus", lower),
        ("spec.finetune.gpus", spec.finetune and spec.finetune.gpus, "gpus", lower),
        ("spec.search.parallelism", spec.search.parallelism, "parallelism", _ANY_TIME),
        ("spec.limits.gpuHours", spec.limits.gpu_hours, "gpu_hours", _ANY_TIME),
    ]
    for field, value, name, remedy in amounts:
        bound = getattr(most, name)
        if value is not None and bound is not None and value > bound:
            yield _refused(field, value, rules.path("maximum", name), f"at most {bound}", remedy)


def _refused(field: str, value: object, rule: str, right: str, remedy: str = _ANY_TIME) -> str:
    return f"{field}: {value} violates {rule}, which allows {right}; {remedy}"


def _listed(allowed: tuple[str, ...] | None) -> str:
    return ", ".join(allowed or ()) or "none"
