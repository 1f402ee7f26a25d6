"""What the administrator decides of Jobs in the chart, and what users decide of theirs."""

import threading
from copy import deepcopy
from typing import Any

import pytest
import yaml

from tests.cluster.api import JOBS, ApiError, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import IMAGES, render_chart
from tests.cluster.scripts import runs_until, succeeds, unschedulable
from tests.operator.harness.harness import ONE_PHASE, Harness
from tests.operator.harness.search import Search
from tests.operator.scenarios import impatient_operator

PROGRAM = impatient_operator.main
NAMESPACES = 8
PRIORITY = "policy-batch"
POLICY: dict[str, Any] = {
    "defaults": {"resources": {"memory": "1Gi"}, "gpuResource": "nvidia.com/gpu"},
    "forced": {
        "priorityClassName": PRIORITY,
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "podLabels": {"cost-centre": "7"},
    },
    "allowed": {
        "images": ["registry.test/*"],
        "gpuResources": ["nvidia.com/mig-*"],
        "extendedResources": ["rdma/hca"],
    },
    "maximum": {"parallelism": 2, "searches": 2, "gpuHours": "100"},
}
VALUES = {"jobs": {"policy": POLICY}}
ONE = {"key": "gpu.product", "operator": "In", "values": ["H100"]}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
OWN_JOBS = {
    "nodeSelector": {"zone": "a", "pool": "mine"},
    "resources": {"cpu": "2", "extended": {"rdma/hca": "1"}},
    "affinity": {
        "nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [ONE]}]}},
        "podAntiAffinity": {
            REQUIRED: [
                {
                    "labelSelector": {"matchExpressions": [{"key": "noisy", "operator": "Exists"}]},
                    "topologyKey": "kubernetes.io/hostname",
                }
            ]
        },
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "env": {"NCCL_IB_HCA": "mlx5"},
    "prepare": {"resources": {"cpu": "1"}, "nodeSelector": {}},
    "trial": {"gpuResource": "nvidia.com/mig-1g.10gb"},
}


@pytest.fixture(scope="module", autouse=True)
def priority(cluster: ControlPlane) -> None:
    cluster.api.apply(  # another module may run in between, and this begins again
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": PRIORITY},
            "value": 7,
        }
    )


def pod_of(search: Search, ending: str) -> Document:
    job = search.job(ending)
    assert job
    found: Document = job["spec"]["template"]
    return found


def asked(search: Search, ending: str) -> dict[str, str]:
    """Limits of a Job's container."""
    found: dict[str, str] = pod_of(search, ending)["spec"]["containers"][0]["resources"]["limits"]
    return found


def test_jobs_have_the_policys_forced_fields_and_the_searchs_own_per_kind(harness: Harness) -> None:
    search = harness.begin("placed", {"jobs": OWN_JOBS}, trials=1).until_phase("Succeeded")
    for ending in ("-prepare", "-base", "-pool-0", "-t0000", "-export"):
        template, own = pod_of(search, ending), {"zone": "a"} if ending != "-prepare" else {}
        assert template["metadata"]["labels"]["cost-centre"] == "7"
        spec = template["spec"]
        assert spec["priorityClassName"] == PRIORITY
        assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
        assert spec["nodeSelector"] == {**own, "pool": "gpu"}
        assert set(spec["affinity"]) == {"nodeAffinity", "podAntiAffinity"}
        (spread,) = spec["topologySpreadConstraints"]
        verb = template["metadata"]["labels"]["detnas.dev/verb"]
        kin = {"detnas.dev/search": "placed", "detnas.dev/verb": verb}
        assert spread["labelSelector"] == {"matchLabels": kin}
        assert {"name": "NCCL_IB_HCA", "value": "mlx5"} in spec["containers"][0]["env"]
    device = {"memory": "1Gi", "rdma/hca": "1"}
    assert asked(search, "-prepare") == {"cpu": "1", **device}
    assert asked(search, "-base") == {"cpu": "2", "nvidia.com/gpu": "1", **device}
    assert asked(search, "-t0000") == {"cpu": "2", "nvidia.com/mig-1g.10gb": "1", **device}


def test_search_that_violates_the_policy_names_the_rule_and_runs_once_it_is_changed(
    harness: Harness,
) -> None:
    foreign = harness.begin("foreign", {"jobs": {"image": "docker.io/mine:1"}})
    greedy = harness.begin("greedy", trials=1, parallelism=3)
    foreign.until_condition("Accepted", "False", "PolicyViolation")
    assert foreign.condition("Accepted")["message"].startswith(
        "spec.jobs.image: docker.io/mine:1 violates jobs.policy.allowed.images, which allows "
        "registry.test/*; name another or none in a new search"
    )
    greedy.until_condition("Accepted", "False", "PolicyViolation")
    assert greedy.condition("Accepted")["message"] == (
        "spec.search.parallelism: 3 violates jobs.policy.maximum.parallelism, which allows "
        "at most 2; change it: it may change at any time"
    )
    assert not foreign.jobs()
    assert not greedy.jobs()
    assert "folder" not in foreign.status
    greedy.patch(search={"parallelism": 2})
    greedy.until_phase("Succeeded")


def test_search_beyond_the_maximum_waits_until_another_has_ended(harness: Harness) -> None:
    namespace, over = harness.namespace(), threading.Event()
    harness.on("turn-*-prepare", runs_until(over, succeeds(work=harness.trainer)))
    first = [harness.begin(f"turn-{name}", namespace=namespace, trials=1) for name in ("a", "b")]
    for search in first:
        search.until_runs("-prepare")
    third = harness.begin("turn-c", namespace=namespace, trials=1)
    third.until_condition("Accepted", "False", "TooManySearches")
    assert third.condition("Accepted")["message"] == (
        "jobs.policy.maximum.searches lets 2 of this namespace's searches run at the same time, "
        "which are turn-a, turn-b; this one begins by itself when one of them is over"
    )
    assert not third.jobs()
    over.set()
    third.until_phase("Succeeded")
    assert all(search.phase == "Succeeded" for search in first)


def test_changed_job_fields_apply_to_new_jobs_only(
    harness: Harness,
) -> None:
    over = threading.Event()
    harness.on("changed-t0000", runs_until(over, succeeds(work=harness.trainer)))
    search = harness.begin("changed", trials=2, parallelism=1)
    search.until_runs("-t0000")
    before = search.job("-t0000")
    search.patch(jobs={"resources": {"memory": "4Gi"}, "trial": {"nodeSelector": {"zone": "b"}}})
    with pytest.raises(ApiError, match="spec.jobs.image is fixed once the search exists"):
        search.patch(jobs={"image": "registry.test/other:1"})
    over.set()
    search.until_phase("Succeeded")
    assert (asked(search, "-t0000")["memory"], asked(search, "-t0001")["memory"]) == ("1Gi", "4Gi")
    assert before
    after = search.job("-t0000")
    assert after
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert pod_of(search, "-t0001")["spec"]["nodeSelector"] == {"zone": "b", "pool": "gpu"}
    assert len(search.pods_of("-t0000")) == 1


def test_unschedulable_job_is_created_again_after_the_search_is_changed(harness: Harness) -> None:
    harness.on(
        "misplaced-prepare", unschedulable("0/1 nodes are available: 1 Insufficient memory.")
    )
    search = harness.begin("misplaced", {"jobs": {"nodeSelector": {"zone": "gone"}}}, trials=1)
    search.until(lambda: "then delete the Job" in search.condition("Degraded")["message"])
    search.patch(jobs={"nodeSelector": {"zone": "here"}})
    search.until_observed()  # the deletion may reach the operator before the change of the search
    harness.on("misplaced-prepare", succeeds(work=harness.trainer))
    harness.cluster.api.delete(JOBS, search.namespace, "misplaced-prepare")
    search.until_phase("Succeeded")
    selector = pod_of(search, "-prepare")["spec"]["nodeSelector"]
    assert selector == {"zone": "here", "pool": "gpu"}


def test_running_search_that_violates_the_policy_starts_no_further_job(harness: Harness) -> None:
    over = threading.Event()
    harness.on("beyond-t0000", runs_until(over, succeeds(work=harness.trainer)))
    search = harness.begin("beyond", trials=3, parallelism=1)
    pod = search.until_runs("-t0000")
    search.patch(search={"parallelism": 3})
    search.until_condition("Suspended", "True", "PolicyViolation")
    assert search.has_condition("Accepted", "True", "Accepted")
    assert "jobs.policy.maximum.parallelism" in search.condition("Degraded")["message"]
    assert pod.name in {one.name for one in search.running("-t0000")}, "what runs may end"
    over.set()
    search.until(lambda: search.trials["finished"] == 1)
    assert search.job("-t0001") is None
    search.patch(search={"parallelism": 2})
    search.until_phase("Succeeded")


def test_new_policy_applies_to_new_jobs_and_stops_no_running_one(harness: Harness) -> None:
    doors = [threading.Event(), threading.Event()]
    for number, door in enumerate(doors):
        harness.on(f"under-t000{number}", runs_until(door, succeeds(work=harness.trainer)))
    sections = {"limits": {"retries": 0, "gpuHours": "50"}, "teachers": ONE_PHASE}
    search = harness.begin("under", sections, trials=3, parallelism=1)
    search.until_runs("-t0000")
    policy = deepcopy(POLICY)
    policy["forced"]["nodeSelector"] = {"pool": "new"}
    upgrade(harness, policy)
    assert search.running("-t0000")
    doors[0].set()
    search.until_runs("-t0001")
    assert pod_of(search, "-t0000")["spec"]["nodeSelector"] == {"pool": "gpu"}
    assert pod_of(search, "-t0001")["spec"]["nodeSelector"] == {"pool": "new"}

    policy["maximum"]["gpuHours"] = "10"
    upgrade(harness, policy)
    search.until_condition("Suspended", "True", "PolicyViolation")
    assert "spec.limits.gpuHours: 50 violates" in search.condition("Suspended")["message"]
    assert search.running("-t0001")
    doors[1].set()
    search.until(lambda: search.trials["finished"] == 2)
    assert search.job("-t0002") is None
    search.patch(limits={"gpuHours": "10"})
    search.until_phase("Succeeded")
    upgrade(harness, POLICY)


def upgrade(harness: Harness, policy: dict[str, Any]) -> None:
    """What `helm upgrade` does: another configuration, and a new process that has it."""
    values = {
        **IMAGES,
        "jobs": {"policy": policy},
        "storage": {"allowed": ["s3://any"], "credentials": {"workloadIdentity": True}},
    }
    namespace = harness.installation.namespace
    rendered = render_chart(harness.cluster.binaries["helm"], namespace, values)
    (text,) = [one["data"]["operator.yaml"] for one in rendered if one["kind"] == "ConfigMap"]
    harness.operator.stop()
    harness.operator.settings = {**harness.operator.settings, "jobs": yaml.safe_load(text)["jobs"]}
    harness.operator.start()
