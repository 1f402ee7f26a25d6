"""The GPUs of the cluster's nodes."""

from collections.abc import Iterator

from detnas.findings import Finding, doubtful, faulty, good
from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.objects import Object
from detnas_operator.doctor.asking import asked
from detnas_operator.doctor.needs import Needs
from detnas_operator.job.policy import amount


def node_findings(client: KubernetesClient, needs: Needs) -> Iterator[Finding]:
    """Compare what nodes offer with what jobs request; what other pods use is not counted.

    Args:
        client: of the user.
        needs: of the search's jobs.
    """
    what = f"nodes with {needs.resource}"
    if not needs.pod:
        yield good(what, "no job requests any")
        return
    nodes = asked(what, lambda: list(client.list("nodes", None)))
    if isinstance(nodes, Finding):
        yield nodes
        return
    offered = [_gpus(node, needs.resource) for node in nodes if _is_eligible(node, needs)]
    yield _judged(what, [count for count in offered if count], needs)


def _judged(what: str, offered: list[int], needs: Needs) -> Finding:
    if not offered:
        among = " that spec.jobs.nodeSelector selects" if needs.selector else ""
        return faulty(
            what,
            f"no ready node{among} offers any",
            "add GPU nodes and their device plugin, or correct jobs.gpuResource: "
            "kubectl describe nodes",
        )
    found = f"{len(offered)}, with {sum(offered)} together and up to {max(offered)} on one"
    if max(offered) < needs.pod:
        return faulty(what, f"{found}; a pod requests {needs.pod}", "lower the jobs' gpus")
    if sum(offered) < needs.job:
        return faulty(what, f"{found}; a job requests {needs.job}", "lower teachers.workers")
    if sum(offered) < needs.together:
        return doubtful(
            what,
            f"{found}; {needs.together} are requested at once",
            "jobs wait for each other: lower search.parallelism, or add nodes",
        )
    return good(what, found)


def _is_eligible(node: Object, needs: Needs) -> bool:
    labels = node["metadata"].get("labels", {})
    conditions = node.get("status", {}).get("conditions", [])
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    selected = all(labels.get(name) == value for name, value in needs.selector)
    return ready and selected and not node.get("spec", {}).get("unschedulable", False)


def _gpus(node: Object, resource: str) -> int:
    return int(amount(node.get("status", {}).get("allocatable", {}).get(resource, "0")))
