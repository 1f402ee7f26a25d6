"""The definition of searches in the cluster, beside the one of this version."""

from collections.abc import Iterator

from detnas.findings import Finding, Verdict, doubtful, good
from detnas.resource.definition import custom_resource_definition
from detnas_operator.check import definition_served
from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.kinds import GROUP, PLURAL, VERSION
from detnas_operator.cluster.objects import Object
from detnas_operator.doctor.asking import asked

_NAME = f"{PLURAL}.{GROUP}"
_SHOWN = 5


def definition_findings(client: KubernetesClient, namespace: str) -> Iterator[Finding]:
    """Whether searches are served, and have every field that this version writes."""
    served = definition_served(client, namespace)
    yield served
    if served.verdict is not Verdict.OK:
        return
    what = "its version"
    there = asked(what, lambda: client.get("customresourcedefinitions", "", _NAME))
    if isinstance(there, Finding):
        yield there
    elif there is not None:
        yield compared(what, there)


def compared(what: str, there: Object) -> Finding:
    """Compare the fields of a definition with those that this version has."""
    unknown = sorted(_fields(_spec(custom_resource_definition())) - _fields(_spec(there)))
    if not unknown:
        return good(what, f"{VERSION}, with every field of this detnas")
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    return doubtful(
        what,
        f"older than this detnas, without {', '.join(unknown[:_SHOWN])}{more}",
        "upgrade the chart: helm upgrade; until then leave these fields out",
    )


def _spec(definition: Object) -> Object:
    versions = {one["name"]: one for one in definition["spec"]["versions"]}
    schema: Object = versions[VERSION]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def _fields(schema: Object, path: str = "spec") -> set[str]:
    """Paths of all fields of an object's schema."""
    found: set[str] = set()
    for name, field in schema.get("properties", {}).items():
        found |= {f"{path}.{name}", *_fields(field, f"{path}.{name}")}
    items = schema.get("items")
    return found | (_fields(items, f"{path}[]") if isinstance(items, dict) else set())
