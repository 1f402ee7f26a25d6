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
from tests.operator.outcomes.stage import ONE_PHASE, Search, Stage

ROOMS = 8
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


def test_jobs_have_what_is_forced_and_what_the_search_asks_for_each_kind(stage: Stage) -> None:
    search = stage.begun("placed", {"jobs": OWN_JOBS}, trials=1).until_phase("Succeeded")
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


def test_a_search_against_the_policy_is_refused_with_the_rule_until_it_is_changed(
    stage: Stage,
) -> None:
    foreign = stage.begun("foreign", {"jobs": {"image": "docker.io/mine:1"}})
    greedy = stage.begun("greedy", trials=1, parallelism=3)
    foreign.until(lambda: foreign.says("Accepted", "False", "PolicyViolation"))
    assert foreign.condition("Accepted")["message"].startswith(
        "spec.jobs.image: docker.io/mine:1 violates jobs.policy.allowed.images, which allows "
        "registry.test/*; name another or none in a new search"
    )
    greedy.until(lambda: greedy.says("Accepted", "False", "PolicyViolation"))
    assert greedy.condition("Accepted")["message"] == (
        "spec.search.parallelism: 3 violates jobs.policy.maximum.parallelism, which allows "
        "at most 2; change it: it may change at any time"
    )
    assert not foreign.jobs()
    assert not greedy.jobs()
    assert "folder" not in foreign.status
    greedy.patch(search={"parallelism": 2})
    greedy.until_phase("Succeeded")


def test_searches_beyond_the_bound_wait_for_their_turn(stage: Stage) -> None:
    room, over = stage.room(), threading.Event()
    stage.on("turn-*-prepare", runs_until(over, succeeds(work=stage.trainer)))
    first = [stage.begun(f"turn-{name}", room=room, trials=1) for name in ("a", "b")]
    for search in first:
        search.until_runs("-prepare")
    third = stage.begun("turn-c", room=room, trials=1)
    third.until(lambda: third.says("Accepted", "False", "TooManySearches"))
    assert third.condition("Accepted")["message"] == (
        "jobs.policy.maximum.searches lets 2 of this namespace's searches run at the same time, "
        "which are turn-a, turn-b; this one begins by itself when one of them is over"
    )
    assert not third.jobs()
    over.set()
    third.until_phase("Succeeded")
    assert all(search.phase == "Succeeded" for search in first)


def test_new_jobs_of_a_running_search_follow_its_fields_and_running_ones_do_not_change(
    stage: Stage,
) -> None:
    over = threading.Event()
    stage.on("mended-t0000", runs_until(over, succeeds(work=stage.trainer)))
    search = stage.begun("mended", trials=2, parallelism=1)
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


def test_a_job_that_fits_no_node_is_made_anew_once_the_search_is_changed(stage: Stage) -> None:
    stage.on("misplaced-prepare", unschedulable("0/1 nodes are available: 1 Insufficient memory."))
    search = stage.begun("misplaced", {"jobs": {"nodeSelector": {"zone": "gone"}}}, trials=1)
    search.until(lambda: "then delete the Job" in search.condition("Degraded")["message"])
    search.patch(jobs={"nodeSelector": {"zone": "here"}})
    stage.on("misplaced-prepare", succeeds(work=stage.trainer))
    stage.cluster.api.delete(JOBS, search.namespace, "misplaced-prepare")
    search.until_phase("Succeeded")
    selector = pod_of(search, "-prepare")["spec"]["nodeSelector"]
    assert selector == {"zone": "here", "pool": "gpu"}


def test_a_running_search_that_comes_to_break_a_rule_starts_nothing_more(stage: Stage) -> None:
    over = threading.Event()
    stage.on("beyond-t0000", runs_until(over, succeeds(work=stage.trainer)))
    search = stage.begun("beyond", trials=3, parallelism=1)
    pod = search.until_runs("-t0000")
    search.patch(search={"parallelism": 3})
    search.until(lambda: search.says("Suspended", "True", "PolicyViolation"))
    assert search.says("Accepted", "True", "Accepted")
    assert "jobs.policy.maximum.parallelism" in search.condition("Degraded")["message"]
    assert pod.name in {one.name for one in search.running("-t0000")}, "what runs may end"
    over.set()
    search.until(lambda: search.trials["finished"] == 1)
    assert search.job("-t0001") is None
    search.patch(search={"parallelism": 2})
    search.until_phase("Succeeded")


def test_a_new_policy_holds_for_new_jobs_and_stops_none_that_runs(stage: Stage) -> None:
    doors = [threading.Event(), threading.Event()]
    for number, door in enumerate(doors):
        stage.on(f"under-t000{number}", runs_until(door, succeeds(work=stage.trainer)))
    sections = {"limits": {"retries": 0, "gpuHours": "50"}, "teachers": ONE_PHASE}
    search = stage.begun("under", sections, trials=3, parallelism=1)
    search.until_runs("-t0000")
    policy = deepcopy(POLICY)
    policy["forced"]["nodeSelector"] = {"pool": "new"}
    upgrade(stage, policy)
    assert search.running("-t0000")
    doors[0].set()
    search.until_runs("-t0001")
    assert pod_of(search, "-t0000")["spec"]["nodeSelector"] == {"pool": "gpu"}
    assert pod_of(search, "-t0001")["spec"]["nodeSelector"] == {"pool": "new"}

    policy["maximum"]["gpuHours"] = "10"
    upgrade(stage, policy)
    search.until(lambda: search.says("Suspended", "True", "PolicyViolation"))
    assert "spec.limits.gpuHours: 50 violates" in search.condition("Suspended")["message"]
    assert search.running("-t0001")
    doors[1].set()
    search.until(lambda: search.trials["finished"] == 2)
    assert search.job("-t0002") is None
    search.patch(limits={"gpuHours": "10"})
    search.until_phase("Succeeded")
    upgrade(stage, POLICY)


def upgrade(stage: Stage, policy: dict[str, Any]) -> None:
    """What `helm upgrade` does: another configuration, and a new process that has it."""
    values = {
        **IMAGES,
        "jobs": {"policy": policy},
        "storage": {"allowed": ["s3://any"], "credentials": {"workloadIdentity": True}},
    }
    namespace = stage.installation.namespace
    rendered = render_chart(stage.cluster.binaries["helm"], namespace, values)
    (text,) = [one["data"]["operator.yaml"] for one in rendered if one["kind"] == "ConfigMap"]
    stage.operator.stop()
    stage.operator.settings = {**stage.operator.settings, "jobs": yaml.safe_load(text)["jobs"]}
    stage.operator.start()
