"""Manifests of Jobs as the operator makes them for tests, and what is in them."""

from typing import Any

from detnas.plan.stages import Verb
from detnas_operator.configuration.settings import OperatorSettings, Tenant
from detnas_operator.job.manifest import job_manifest
from tests.operator.job.orders import SETTINGS, TENANT, order


def made(
    verb: Verb = Verb.EVALUATE,
    spec: dict[str, Any] | None = None,
    settings: OperatorSettings = SETTINGS,
    tenant: Tenant = TENANT,
) -> dict[str, Any]:
    return job_manifest(order(verb, spec), settings, tenant)


def pod(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["template"]["spec"]


def container(job: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod(job)["containers"]
    return only


def env(job: dict[str, Any]) -> dict[str, str]:
    entries = container(job)["env"]
    found = {entry["name"]: entry["value"] for entry in entries}
    assert len(found) == len(entries), "a name given twice means what the last says"
    return found
