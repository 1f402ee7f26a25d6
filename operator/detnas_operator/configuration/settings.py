"""The operator's configuration file, checked completely."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from detnas.errors import UserError
from detnas.schema import Schema
from detnas.spec.explain import Problem, explain
from detnas.spec.jobs import Bytes
from detnas_operator.configuration.forms import (
    DOMAIN,
    NAMESPACE_FORM,
    TRAINER_ID,
    VARIABLE,
    AnyNamespace,
    Groups,
    Identity,
    NamespaceName,
    ObjectName,
    OptionalName,
    PullPolicy,
    Seconds,
    matching,
)
from detnas_operator.configuration.job_policy import POLICY_FOR_ALL, JobPolicy, Rules, rules_of
from detnas_operator.configuration.storage import StorageSettings

ANY_NAMESPACE = "*"
"""Namespace of the tenant that represents every namespace not named."""

OWN_VARIABLES = frozenset(
    {
        "HOME",
        "DETNAS_CACHE",
        "DETNAS_DATA_CACHE",
        "DETNAS_DATA_CACHE_BYTES",
        "DETNAS_KEEP_LOG",
        "DETNAS_STOP_SECONDS",
        "DETNAS_TERMINATION_LOG",
        "DETNAS_WORKERS",
        "DETNAS_PROCESSES_PER_WORKER",
        "DETNAS_RENDEZVOUS",
        "JOB_COMPLETION_INDEX",
        "AWS_ENDPOINT_URL",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    }
)
"""Environment of a Job that the operator or the tenant's secret sets."""


MultiNode = Literal["Auto", "JobSet", "IndexedJob"]
"""What runs a job on several nodes."""


class SettingsError(UserError):
    """A configuration file that cannot be used, with every problem found in it."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{source} is no usable configuration of the operator:{lines}")


class TrainerImage(Schema):
    """The image that Jobs run unless a search names another."""

    image: Annotated[
        str,
        Field(max_length=1024),
        matching(r"\S+", "write an image such as example.org/trainer:1.0"),
    ]
    image_pull_policy: PullPolicy = "IfNotPresent"
    image_pull_secrets: tuple[ObjectName, ...] = ()


class DataCache(Schema):
    """Where copies of data sets from S3 are kept beyond the life of a pod; nowhere by default.

    Attributes:
        claim: a PersistentVolumeClaim in each namespace, which many pods may mount.
        host_path: a folder of each node; pods of a namespace mount its folder ``<namespace>`` only.
        size: of all copies in it together.
    """

    claim: OptionalName = ""
    host_path: Annotated[
        str, matching(r"((/[-_A-Za-z0-9][-._A-Za-z0-9]*)+)?", "write /a/folder")
    ] = ""
    size: Bytes = "200Gi"

    @model_validator(mode="after")
    def _one_of_them(self) -> "DataCache":
        if self.claim and self.host_path:
            raise ValueError("dataCache: give either claim or hostPath, not both")
        return self


class Tenant(Schema):
    """A namespace whose searches are run, with their service account and credentials.

    Attributes:
        namespace: its name, or ``*`` for every namespace not named.
        service_account: of the Jobs' pods.
        credentials_secret: Secret there with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; empty
            if the service account represents a workload identity.
        supplemental_groups: further groups of the pods, such as of files on NFS.
        policy: of its Jobs; what it leaves out follows ``jobs.policy``.
        data_cache: of its Jobs; None for ``jobs.dataCache``.
    """

    namespace: AnyNamespace
    service_account: ObjectName = "detnas-trainer"
    credentials_secret: OptionalName = ""
    supplemental_groups: Groups = ()
    policy: JobPolicy = JobPolicy()
    data_cache: DataCache | None = None


class PodIdentity(Schema):
    """User and groups of the pods' processes; None if the platform decides.

    Attributes:
        run_as_user: user.
        run_as_group: first group.
        fs_group: group of the volumes that a pod mounts.
        supplemental_groups: further groups, such as of files on NFS.
    """

    run_as_user: Identity | None = TRAINER_ID
    run_as_group: Identity | None = TRAINER_ID
    fs_group: Identity | None = TRAINER_ID
    supplemental_groups: Groups = ()


class JobSettings(Schema):
    """What all Jobs have in common.

    Attributes:
        ttl_seconds: a Job stays this long after its result is stored.
        gpu_resource: name of the device plugin's resource.
        env: variables for every Job, such as a proxy's.
        pod_security_context: user and groups of the pods.
        policy: of the Jobs of all namespaces.
        data_cache: where copies of data sets are kept beyond the life of a pod.
        multi_node: what runs a job on several nodes: a JobSet, or an Indexed Job with a Service;
            Auto is a JobSet if the API server serves them.
    """

    ttl_seconds: Annotated[int, Field(ge=0, strict=True)] = 3600
    gpu_resource: Annotated[
        str, matching(rf"{DOMAIN}/[A-Za-z0-9][-A-Za-z0-9_.]*", "write it whole, as nvidia.com/gpu")
    ] = "nvidia.com/gpu"
    env: dict[str, str] = {}
    pod_security_context: PodIdentity = PodIdentity()
    policy: JobPolicy = JobPolicy()
    data_cache: DataCache = DataCache()
    multi_node: MultiNode = "Auto"

    @field_validator("env")
    @classmethod
    def _variables_are_free(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not re.fullmatch(VARIABLE, name):
                raise ValueError(f"{name!r} is no variable's name; write letters, digits and _")
            if name in OWN_VARIABLES:
                raise ValueError(f"{name} is set by the operator itself; leave it out")
        return value


class Port(Schema):
    """A port to listen on."""

    port: Annotated[int, Field(ge=1, le=65535, strict=True)]


class OperatorSettings(Schema):
    """The operator's configuration.

    Attributes:
        namespaces: that are watched; empty for all of the cluster.
        trainer: image of the Jobs.
        tenants: namespaces that may run searches.
        storage: where searches may store their data.
        jobs: what all Jobs have in common.
        workers: concurrent passes.
        resync_seconds: a search without any event is requeued this often.
        progress_seconds: progress of running Jobs is read this often.
        health: port of ``/healthz``.
        metrics: port of ``/metrics``.
        log_level: least severity that is logged.
    """

    namespaces: tuple[NamespaceName, ...] = ()
    trainer: TrainerImage
    tenants: tuple[Tenant, ...] = ()
    storage: StorageSettings
    jobs: JobSettings = JobSettings()
    workers: Annotated[int, Field(ge=1, le=256, strict=True)] = 8
    resync_seconds: Seconds = 300
    progress_seconds: Seconds = 60
    health: Port = Port(port=8080)
    metrics: Port = Port(port=9090)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _nothing_twice(self) -> "OperatorSettings":
        names = [tenant.namespace for tenant in self.tenants]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"tenants: namespace {name!r} is listed twice; list it once")
        if self.health.port == self.metrics.port:
            raise ValueError(f"health and metrics both listen on {self.health.port}; change one")
        return self

    def tenant(self, namespace: str) -> Tenant | None:
        """Return the tenant of a namespace; None if no searches may run there."""
        by_name = {tenant.namespace: tenant for tenant in self.tenants}
        return by_name.get(namespace) or by_name.get(ANY_NAMESPACE)

    def rules(self, namespace: str) -> Rules:
        """Return the rules for the Jobs of a namespace."""
        if namespace not in self._rules:
            self._rules[namespace] = self._merged_rules(namespace)
        return self._rules[namespace]

    @cached_property
    def _rules(self) -> dict[str, Rules]:
        """By namespace: every pass needs them, and merging takes a millisecond."""
        return {}

    def _merged_rules(self, namespace: str) -> Rules:
        tenant, gpu = self.tenant(namespace), self.jobs.gpu_resource
        if tenant is None:
            return rules_of(self.jobs.policy, JobPolicy(), POLICY_FOR_ALL, gpu)
        listed = f"namespaces[{namespace}].policy"
        prefix = "otherNamespaces.policy" if tenant.namespace == ANY_NAMESPACE else listed
        return rules_of(self.jobs.policy, tenant.policy, prefix, gpu)


def load_settings(path: Path) -> OperatorSettings:
    """Read and check the configuration file.

    Raises:
        SettingsError: the file is missing, not YAML, or invalid; every problem names its field, the
            value and what would be right.
    """
    source = str(path)
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(source, (Problem("", f"cannot be read: {error}"),)) from error
    except yaml.YAMLError as error:
        raise SettingsError(source, (Problem("", f"no valid YAML: {error}"),)) from error
    if not isinstance(document, dict):
        found = f"{type(document).__name__} found; a configuration is a mapping with trainer, …"
        raise SettingsError(source, (Problem("", found),))
    try:
        return OperatorSettings.model_validate(document)
    except ValidationError as error:
        problems = explain(error, OperatorSettings)
        raise SettingsError(
            source, tuple(_as_in_values(problem, document) for problem in problems)
        ) from error


def _as_in_values(problem: Problem, document: dict[str, Any]) -> Problem:
    """Name a tenant's field as the chart's values do: namespaces[team-a].dataCache."""
    place = re.fullmatch(r"tenants\[(\d+)\](\..+)", problem.path)
    tenant = document["tenants"][int(place[1])] if place else None
    name = tenant.get("namespace") if isinstance(tenant, dict) else None
    if place is None or not re.fullmatch(rf"\*|{NAMESPACE_FORM}", str(name)):
        return problem
    listed = "otherNamespaces" if name == ANY_NAMESPACE else f"namespaces[{name}]"
    return Problem(f"{listed}{place[2]}", problem.message)
