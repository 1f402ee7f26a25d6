"""What the administrator decides of Jobs, and what of it a search may not do."""

from typing import Any

import pytest

from detnas.records.verbs import Verb
from detnas.spec import read_manifest
from detnas.spec.jobs import Jobs
from detnas_operator.configuration.job_policy import JobPolicy, Rules, rules_of
from detnas_operator.job.policy import amount, job_fields, violations
from tests.cluster.searches import manifest

H100 = {"gpu": "h100"}
SPOT = {"key": "spot", "operator": "Exists"}


def rules(everywhere: dict[str, Any], own: dict[str, Any] | None = None) -> Rules:
    for_all, for_one = (JobPolicy.model_validate(one) for one in (everywhere, own or {}))
    return rules_of(for_all, for_one, "namespaces[team-a].policy")


def fields(
    policy: dict[str, Any],
    jobs: dict[str, Any],
    verb: Verb = Verb.EVALUATE,
    own: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What is asked for, less what is built in."""
    found = job_fields(Jobs.model_validate(jobs), verb, rules(policy, own))
    asked = found.model_dump(mode="json", by_alias=True, exclude_none=True)
    built_in = {"sharedMemory": "8Gi", "cacheSize": "50Gi", "gpuResource": "nvidia.com/gpu"}
    return {name: value for name, value in asked.items() if built_in.get(name) != value}


@pytest.mark.parametrize(
    ("policy", "jobs", "asked"),
    [
        ({}, {}, {}),
        ({}, {"queueName": "own"}, {"queueName": "own"}),
        ({"defaults": {"queueName": "shared"}}, {}, {"queueName": "shared"}),
        ({"defaults": {"queueName": "shared"}}, {"queueName": "own"}, {"queueName": "own"}),
        ({"forced": {"queueName": "shared"}}, {"queueName": "own"}, {"queueName": "shared"}),
        ({}, {"trial": {"queueName": "trials"}}, {"queueName": "trials"}),
        ({}, {"pool": {"queueName": "pools"}}, {}),
        (
            {"forced": {"queueName": "shared"}},
            {"trial": {"queueName": "trials"}},
            {"queueName": "shared"},
        ),
        # A search may leave what is only a default; what is forced is added to its own.
        ({"defaults": {"nodeSelector": H100}}, {"nodeSelector": {}}, {"nodeSelector": {}}),
        (
            {"forced": {"nodeSelector": H100}},
            {"nodeSelector": {"zone": "a", "gpu": "other"}},
            {"nodeSelector": {"zone": "a", "gpu": "h100"}},
        ),
        ({}, {"nodeSelector": H100, "trial": {"nodeSelector": {}}}, {"nodeSelector": {}}),
        ({"forced": {"tolerations": []}}, {"tolerations": [SPOT]}, {"tolerations": []}),
        (
            {"defaults": {"resources": {"cpu": "4", "memory": "8Gi"}}},
            {"resources": {"memory": "64Gi"}, "trial": {"resources": {"cpu": "16"}}},
            {"resources": {"cpu": "16", "memory": "64Gi"}},
        ),
        # As with a LimitRange: who names nothing has the most, and no more.
        (
            {"maximum": {"resources": {"memory": "64Gi", "extended": {"rdma/hca": "1"}}}},
            {"resources": {"cpu": "4"}},
            {"resources": {"cpu": "4", "memory": "64Gi"}},
        ),
        (
            {"defaults": {"env": {"NCCL_DEBUG": "INFO"}}},
            {"env": {"NCCL_IB_HCA": "mlx5"}},
            {"env": {"NCCL_DEBUG": "INFO", "NCCL_IB_HCA": "mlx5"}},
        ),
        (
            {"forced": {"gpuResource": "nvidia.com/mig-1g.10gb"}},
            {"gpuResource": "nvidia.com/gpu"},
            {"gpuResource": "nvidia.com/mig-1g.10gb"},
        ),
    ],
)
def test_job_fields_merge_policy_and_search(
    policy: dict[str, Any], jobs: dict[str, Any], asked: dict[str, Any]
) -> None:
    assert fields(policy, jobs) == asked


def test_job_fields_of_prepare_may_differ_from_the_others() -> None:
    jobs = {
        "resources": {"cpu": "32", "memory": "128Gi"},
        "nodeSelector": H100,
        "prepare": {"resources": {"cpu": "2"}, "nodeSelector": {}, "queueName": "cpus"},
    }
    assert fields({}, jobs, Verb.PREPARE) == {
        "resources": {"cpu": "2", "memory": "128Gi"},
        "nodeSelector": {},
        "queueName": "cpus",
    }
    for verb in (verb for verb in Verb if verb is not Verb.PREPARE):
        assert fields({}, jobs, verb) == {"resources": jobs["resources"], "nodeSelector": H100}


@pytest.mark.parametrize("verb", Verb)
def test_job_fields_of_each_verb_may_differ(verb: Verb) -> None:
    of_trials = (Verb.EVALUATE, Verb.SUBNETS, Verb.EXTRACT, Verb.TEST)
    kind = "trial" if verb in of_trials else str(verb)
    kind = "finetune" if verb is Verb.BASELINE else kind  # as the student was trained last
    assert fields({}, {kind: {"queueName": "own"}}, verb) == {"queueName": "own"}


def test_job_fields_merge_affinity_by_type() -> None:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    one = {"key": "a", "operator": "Exists"}
    near = {"labelSelector": {"matchExpressions": [one]}, "topologyKey": "zone"}
    nodes = {required: {"nodeSelectorTerms": [{"matchExpressions": [one]}]}}
    jobs = {
        "affinity": {"podAffinity": {required: [near]}},
        "trial": {"affinity": {"nodeAffinity": nodes}},
    }
    found = fields({}, jobs)["affinity"]
    assert set(found) == {"nodeAffinity", "podAffinity"}
    assert set(
        fields({"forced": {"affinity": jobs["affinity"]}}, {"trial": jobs["trial"]})["affinity"]
    ) == {"nodeAffinity", "podAffinity"}


@pytest.mark.parametrize(
    ("own", "jobs", "asked"),
    [
        ({}, {}, {"queueName": "all", "nodeSelector": H100}),
        ({"forced": {"queueName": "own"}}, {}, {"queueName": "own", "nodeSelector": H100}),
        ({"forced": {"nodeSelector": {}}}, {}, {"queueName": "all", "nodeSelector": {}}),
    ],
)
def test_policy_of_a_namespace_replaces_single_fields(
    own: dict[str, Any], jobs: dict[str, Any], asked: dict[str, Any]
) -> None:
    everywhere = {"forced": {"queueName": "all", "nodeSelector": H100}}
    assert fields(everywhere, jobs, own=own) == asked


def broken(
    policy: dict[str, Any], spec: dict[str, Any], own: dict[str, Any] | None = None
) -> tuple[str, ...]:
    sections = {"base": manifest("one")["spec"]["base"] | {"gpus": 0}, **spec}
    document = manifest("one", sections, **sections.pop("search", {}))
    return violations(read_manifest(document, "test").spec, rules(policy, own))


MOST = {"maximum": {"resources": {"cpu": "8", "memory": "64Gi", "extended": {"rdma/hca": "1"}}}}
DEVICES = {"allowed": {"extendedResources": ["rdma/*"]}}
MIG = {"allowed": {"gpuResources": ["nvidia.com/mig-1g.*"]}}


@pytest.mark.parametrize(
    ("policy", "spec", "parts"),
    [
        (
            {"allowed": {"images": ["registry.example.com/detnas/*"]}},
            {"jobs": {"image": "docker.io/somebody/trainer:1"}},
            (
                "spec.jobs.image: docker.io/somebody/trainer:1 ",
                "jobs.policy.allowed.images",
                "registry.example.com/detnas/*",
                "in a new search",
            ),
        ),
        (
            {"allowed": {"priorityClassNames": []}},
            {"jobs": {"pool": {"priorityClassName": "high"}}},
            (
                "spec.jobs.pool.priorityClassName: high ",
                "jobs.policy.allowed.priorityClassNames",
                "allows none",
            ),
        ),
        (
            {"allowed": {"queueNames": ["research", "spare-*"]}},
            {"jobs": {"queueName": "production"}},
            ("spec.jobs.queueName: production ", "research, spare-*"),
        ),
        (
            {"allowed": {"queuePriorityClasses": ["low"]}},
            {"jobs": {"queuePriorityClass": "urgent"}},
            ("spec.jobs.queuePriorityClass: urgent ", "low"),
        ),
        (
            {"allowed": {"schedulerNames": ["volcano"]}},
            {"jobs": {"schedulerName": "mine"}},
            ("spec.jobs.schedulerName: mine ", "jobs.policy.allowed.schedulerNames"),
        ),
        (
            {},
            {"jobs": {"gpuResource": "nvidia.com/mig-7g.80gb"}},
            ("spec.jobs.gpuResource", "jobs.policy.allowed.gpuResources", "nvidia.com/gpu"),
        ),
        (
            {},
            {"jobs": {"resources": {"extended": {"rdma/hca": "1"}}}},
            (
                "spec.jobs.resources.extended: rdma/hca ",
                "jobs.policy.allowed.extendedResources",
                "allows none",
            ),
        ),
        # GPUs are counted by their own fields: as another device they would not be.
        (
            {"allowed": {"extendedResources": ["*"]}},
            {"jobs": {"resources": {"extended": {"nvidia.com/gpu": "8"}}}},
            ("spec.jobs.resources.extended: nvidia.com/gpu ",),
        ),
        (
            MIG | {"allowed": {**MIG["allowed"], "extendedResources": ["*"]}},
            {"jobs": {"resources": {"extended": {"nvidia.com/mig-1g.10gb": "7"}}}},
            ("spec.jobs.resources.extended: nvidia.com/mig-1g.10gb ",),
        ),
        (
            MOST,
            {"jobs": {"trial": {"resources": {"memory": "65Gi"}}}},
            (
                "spec.jobs.trial.resources.memory: 65Gi ",
                "jobs.policy.maximum.resources.memory",
                "at most 64Gi",
            ),
        ),
        (MOST, {"jobs": {"resources": {"cpu": "8001m"}}}, ("resources.cpu", "at most 8")),
        (
            MOST | DEVICES,
            {"jobs": {"resources": {"extended": {"rdma/hca": "2"}}}},
            ("resources.extended: rdma/hca 2 ", "at most 1"),
        ),
        (
            {"maximum": {"gpus": 0}},
            {"teachers": {"gpusPerWorker": 0}},
            ("spec.evaluation.gpus: 1 ", "jobs.policy.maximum.gpus", "at most 0", "new search"),
        ),
        (
            {"maximum": {"parallelism": 2}},
            {"search": {"parallelism": 3}},
            (
                "spec.search.parallelism: 3 ",
                "jobs.policy.maximum.parallelism",
                "at most 2",
                "may change at any time",
            ),
        ),
        (
            {"maximum": {"gpuHours": "500"}},
            {"limits": {"gpuHours": "500.5"}},
            ("spec.limits.gpuHours: 500.5 ", "jobs.policy.maximum.gpuHours", "at most 500"),
        ),
    ],
)
def test_violations_name_field_rule_and_what_is_allowed(
    policy: dict[str, Any], spec: dict[str, Any], parts: tuple[str, ...]
) -> None:
    (said,) = broken(policy, spec)
    assert all(part in said for part in parts), said


@pytest.mark.parametrize(
    ("policy", "spec"),
    [
        ({"allowed": {"images": ["registry.example.com/*"]}}, {}),
        (
            {"allowed": {"images": ["registry.example.com/*"]}},
            {"jobs": {"image": "registry.example.com/team/trainer:1"}},
        ),
        # What a search names does not matter where the administrator decides.
        (
            {"allowed": {"queueNames": []}, "forced": {"queueName": "research"}},
            {"jobs": {"queueName": "production"}},
        ),
        (MIG, {"jobs": {"trial": {"gpuResource": "nvidia.com/mig-1g.10gb"}}}),
        (DEVICES, {"jobs": {"resources": {"extended": {"rdma/hca": "1"}}}}),
        (MOST, {"jobs": {"resources": {"cpu": "8000m", "memory": "65536Mi"}}}),
        ({"maximum": {"gpuHours": "500", "parallelism": 8}}, {}),
    ],
)
def test_violations_of_a_conforming_spec_are_none(
    policy: dict[str, Any], spec: dict[str, Any]
) -> None:
    assert broken(policy, spec) == ()


def test_violations_name_the_namespaces_own_rule() -> None:
    everywhere = {"maximum": {"parallelism": 2, "resources": {"memory": "8Gi"}}}
    own = {"maximum": {"parallelism": 4, "resources": {"cpu": "4"}}}
    assert broken(everywhere, {"search": {"parallelism": 4}}, own) == ()
    (said,) = broken(everywhere, {"search": {"parallelism": 5}}, own)
    assert "namespaces[team-a].policy.maximum.parallelism" in said
    jobs = {"jobs": {"resources": {"memory": "9Gi", "cpu": "5"}}}
    cpu, memory = broken(everywhere, jobs, own)
    assert "namespaces[team-a].policy.maximum.resources.cpu" in cpu
    assert " jobs.policy.maximum.resources.memory" in memory


@pytest.mark.parametrize(
    ("less", "more"),
    [("999m", "1"), ("0.5", "1"), ("1000", "1Ki"), ("1G", "1Gi"), ("1023Mi", "1Gi"), ("1T", "1Pi")],
)
def test_amount_orders_quantities_by_value(less: str, more: str) -> None:
    assert amount(less) < amount(more)
