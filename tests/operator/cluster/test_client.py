"""The client against a real API server, as the operator's own service account."""

import threading
from collections.abc import Callable

import pytest

from detnas_operator.check import TO_WATCH, TO_WORK
from detnas_operator.cluster import (
    AlreadyExists,
    Conflict,
    KubernetesClient,
    NotFound,
    Refused,
    Terminating,
    TooLarge,
    Unavailable,
)
from detnas_operator.cluster.connection import Connection, connect
from detnas_operator.lookups import workload_lookup
from tests.cluster.admission import forbid
from tests.cluster.api import JOBS, NAMESPACES, PODS, SEARCHES, Api, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.jobs import job
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.ports import free_ports


def managed(name: str, **labels: str) -> Document:
    return job(name, {"app.kubernetes.io/managed-by": "detnas", **labels})


def test_client_creates_reads_patches_and_deletes(client: KubernetesClient, namespace: str) -> None:
    made = client.create("jobs", namespace, managed("a"))
    read = client.get("jobs", namespace, "a")
    assert read is not None
    assert read["metadata"]["uid"] == made["metadata"]["uid"]
    labels = {"metadata": {"labels": {"new": "1", "app.kubernetes.io/managed-by": None}}}
    patched = client.merge_patch("jobs", namespace, "a", labels)
    assert "new" in patched["metadata"]["labels"]
    assert "app.kubernetes.io/managed-by" not in patched["metadata"]["labels"]
    client.delete("jobs", namespace, "a")
    eventually(lambda: client.get("jobs", namespace, "a") is None)
    client.delete("jobs", namespace, "a")


def test_client_patches_the_status_subresource(
    client: KubernetesClient, cluster: ControlPlane, namespace: str
) -> None:
    cluster.api.create(manifest("r18"), namespace)
    answer = client.merge_patch(
        "detnassearches", namespace, "r18", {"status": {"phase": "Pending"}}, "status"
    )
    assert answer["status"] == {"phase": "Pending"}
    assert cluster.api.get(SEARCHES, namespace, "r18")["status"] == {"phase": "Pending"}


def test_client_distinguishes_existing_conflicting_and_missing_objects(
    client: KubernetesClient, namespace: str
) -> None:
    made = client.create("jobs", namespace, managed("a"))
    with pytest.raises(AlreadyExists):
        client.create("jobs", namespace, managed("a"))
    client.merge_patch("jobs", namespace, "a", {"metadata": {"labels": {"x": "1"}}})
    old = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"], "labels": {}}}
    with pytest.raises(Conflict):
        client.merge_patch("jobs", namespace, "a", old)
    with pytest.raises(NotFound):
        client.merge_patch("jobs", namespace, "b", {"metadata": {"labels": {}}})


@pytest.mark.parametrize("verb", ["patch", "delete", "patch a search"])
def test_client_touches_only_the_object_of_the_uid(
    client: KubernetesClient, cluster: ControlPlane, namespace: str, verb: str
) -> None:
    client.create("jobs", namespace, managed("a"))
    cluster.api.create(manifest("a"), namespace)
    other = {"metadata": {"uid": "other", "labels": {"x": "1"}}}
    touch = {
        "patch": lambda: client.merge_patch("jobs", namespace, "a", other),
        "patch a search": lambda: client.merge_patch("detnassearches", namespace, "a", other),
        "delete": lambda: client.delete("jobs", namespace, "a", uid="other"),
    }
    with pytest.raises(Conflict):
        touch[verb]()
    assert client.get("jobs", namespace, "a") is not None


def test_client_deletes_a_job_with_its_pods(
    client: KubernetesClient, cluster: ControlPlane, namespace: str
) -> None:
    client.create("jobs", namespace, managed("a"))
    client.merge_patch("jobs", namespace, "a", {"spec": {"suspend": False}})
    (pod,) = eventually(lambda: list(client.list("pods", namespace)))
    assert client.pod_log(namespace, pod["metadata"]["name"], "trainer", 20, 4096) == ""
    with pytest.raises(NotFound):
        client.pod_log(namespace, "nobody", "trainer", 20, 4096)
    client.delete("jobs", namespace, "a")
    eventually(lambda: not cluster.api.list(PODS, namespace))


def test_client_lists_in_pages_what_a_selector_chooses(
    client: KubernetesClient, namespace: str
) -> None:
    for number in range(7):
        client.create("jobs", namespace, managed(f"a{number}", parity=str(number % 2)))
    found = client.list("jobs", namespace, "parity=0", limit=2)
    assert [one["metadata"]["name"] for one in found] == ["a0", "a2", "a4", "a6"]
    snapshot = client.snapshot("jobs", namespace, slim=lambda body: {"metadata": body["metadata"]})
    assert [set(one) for one in snapshot.items] == [{"metadata"}] * 7
    versions = [int(one["metadata"]["resourceVersion"]) for one in snapshot.items]
    assert max(versions) <= int(snapshot.resource_version)


def test_client_reports_refusals_in_the_servers_words(
    client: KubernetesClient, cluster: ControlPlane, namespace: str
) -> None:
    forbid(cluster.api, namespace, "count/jobs.batch")
    with pytest.raises(Refused, match="exceeded quota: limits") as refused:
        client.create("jobs", namespace, managed("a"))
    assert refused.value.status == 403
    assert not refused.value.remedy
    broken = managed("b")
    del broken["spec"]["template"]["spec"]["containers"][0]["image"]
    with pytest.raises(Refused, match="image: Required value") as invalid:
        client.create("jobs", namespace, broken)
    assert invalid.value.status == 422


def test_client_distinguishes_a_terminating_namespace_from_a_missing_right(
    client: KubernetesClient, cluster: ControlPlane, namespace: str
) -> None:
    holder = managed("held")
    holder["metadata"]["finalizers"] = ["test.example/hold"]
    cluster.api.create(holder, namespace)
    cluster.api.delete(NAMESPACES, "", namespace)
    admin = KubernetesClient(client.connection)
    # The role goes with the namespace, so somebody who may do anything finds out.
    admin.connection.configuration.api_key["BearerToken"] = f"Bearer {cluster.api.token}"
    admin.connection.configuration.refresh_api_key_hook = None
    with pytest.raises(Terminating):
        admin.create("jobs", namespace, managed("late"))
    cluster.api.patch(JOBS, namespace, "held", {"metadata": {"finalizers": None}})


def test_client_reports_a_missing_right_with_a_remedy(client: KubernetesClient) -> None:
    with pytest.raises(Refused, match="service account"):
        client.snapshot("jobs", "kube-system")
    assert not client.allowed("list", "jobs", "kube-system")


def test_client_distinguishes_absent_workloads_from_a_missing_right(
    client: KubernetesClient, namespace: str
) -> None:
    for kind in workload_lookup.VERSIONS:
        with pytest.raises(NotFound):
            list(client.list(kind, namespace))
        with pytest.raises(Refused, match="service account"):
            list(client.list(kind, "kube-system"))


def test_charts_role_grants_all_that_the_operator_needs(
    client: KubernetesClient, namespace: str
) -> None:
    for (kind, subresource), verbs in (*TO_WATCH.items(), *TO_WORK.items()):
        for verb in verbs:
            assert client.allowed(verb, kind, namespace, subresource), (verb, kind, subresource)


def test_client_counts_writes_by_outcome(client: KubernetesClient, namespace: str) -> None:
    writes: list[tuple[str, str, str]] = []
    counting = KubernetesClient(client.connection, lambda *write: writes.append(write))
    counting.create("jobs", namespace, managed("a"))
    with pytest.raises(AlreadyExists):
        counting.create("jobs", namespace, managed("a"))
    counting.get("jobs", namespace, "a")
    counting.delete("jobs", namespace, "a")
    assert writes == [
        ("create", "jobs", "ok"),
        ("create", "jobs", "AlreadyExists"),
        ("delete", "jobs", "ok"),
    ]


def test_client_is_shared_by_threads(client: KubernetesClient, namespace: str) -> None:
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            client.create("jobs", namespace, managed(f"a{number}"))
            assert client.get("jobs", namespace, f"a{number}")
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(list(client.list("jobs", namespace))) == 12


def test_client_reports_a_server_that_does_not_answer(
    cluster: ControlPlane, connected: Callable[[Api], Connection]
) -> None:
    (port,) = free_ports(1)
    nobody = Api(f"https://127.0.0.1:{port}", "token", cluster.certificate)
    with pytest.raises(Unavailable, match="no answer"):
        KubernetesClient(connected(nobody)).get("jobs", "default", "a")


def test_client_reports_a_wrong_token(
    cluster: ControlPlane, connected: Callable[[Api], Connection]
) -> None:
    stranger = Api(cluster.api.server, "stranger", cluster.certificate)
    with pytest.raises(Refused, match="renew the operator's token"):
        KubernetesClient(connected(stranger)).get("jobs", "default", "a")


def test_connect_without_a_cluster_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Refused, match="set KUBECONFIG"):
        connect(1)
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")
    with pytest.raises(Refused, match="set KUBECONFIG"):
        connect(1)


def test_client_reads_large_objects_in_smaller_pages(
    client: KubernetesClient, namespace: str
) -> None:
    """Any tenant may put 250 KB of annotations on each of its pods."""
    for number in range(12):
        body = managed(f"large-{number:02}")
        body["metadata"]["annotations"] = {"note": "x" * 200_000}
        client.create("jobs", namespace, body)
    found = client.list("jobs", namespace, max_bytes=1 << 20)
    assert [one["metadata"]["name"] for one in found] == [f"large-{n:02}" for n in range(12)]
    with pytest.raises(TooLarge, match="more than 100000 bytes"):
        list(client.list("jobs", namespace, max_bytes=100_000))
