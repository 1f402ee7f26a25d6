"""A release in a real cluster: installed, used, upgraded, joined by a second, and removed."""

import base64
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.chart.releases import Administrator, AdministratorsPlane
from tests.chart.rendering import FOLDER, NAMESPACE, ONE_TENANT, RELEASE, SMALLEST
from tests.chart.rights import ALLOWED, WATCHING, granted
from tests.cluster.api import PODS, SEARCHES, SECRETS, SERVICE_ACCOUNTS, Api, ApiError, Document
from tests.cluster.operator_process import INHERITED
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.seaweed import S3Server

TENANT, ELSEWHERE = "team-a", "elsewhere"
SECOND = {
    **SMALLEST,
    "crds": {"enabled": False},
    "namespaces": [{"name": "team-b", "s3": {"workloadIdentity": True}}],
}


@pytest.fixture(scope="module")
def plane(
    tmp_path_factory: pytest.TempPathFactory, kubernetes_programs: dict[str, Path]
) -> Iterator[AdministratorsPlane]:
    """A control plane that knows nothing of searches."""
    running = AdministratorsPlane(tmp_path_factory.mktemp("releases"), kubernetes_programs)
    try:
        running.start()
    except RuntimeError:  # another process may take a port between our look and its use
        running.stop()
        running = AdministratorsPlane(tmp_path_factory.mktemp("again"), kubernetes_programs)
        running.start()
    for name in (NAMESPACE, TENANT, "team-b", ELSEWHERE):
        metadata = {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
        running.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield running
    running.stop()


@pytest.fixture
def administrator(plane: AdministratorsPlane) -> Iterator[Administrator]:
    """Somebody whose releases and searches are gone after the test; the definition stays.

    The next release takes it over, and brings its own: to remove it takes the API server as long as
    all else does.
    """
    person = Administrator(plane, NAMESPACE)
    yield person
    for namespace in (NAMESPACE, ELSEWHERE):
        there = Administrator(plane, namespace)
        for release in there.helm("list", "--short").split():
            there.helm("uninstall", release)
    person.delete_searches()


@pytest.fixture
def installed(administrator: Administrator) -> Administrator:
    """An administrator with a release for one tenant."""
    administrator.install(RELEASE, ONE_TENANT)
    return administrator


def rights(caller: Api, namespace: str) -> dict[str, set[str]]:
    """What a caller may do in a namespace, besides asking what it may do."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    path = "apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    rules = caller.request("POST", path, review)["status"]["resourceRules"]
    about_itself = ("authorization.k8s.io", "authentication.k8s.io")
    return granted(rule for rule in rules if rule["apiGroups"][0] not in about_itself)


def wait_for_rights(operator: Api, namespace: str, wanted: dict[str, set[str]] = ALLOWED) -> None:
    """Wait until the API server knows the roles: a moment after they are made."""
    with contextlib.suppress(AssertionError):
        eventually(lambda: rights(operator, namespace) == wanted)
    assert rights(operator, namespace) == wanted


def test_operator_rights_suffice_and_end_where_it_watches(
    installed: Administrator,
) -> None:
    operator = installed.plane.caller(NAMESPACE, "detnas")
    wait_for_rights(operator, TENANT)
    wait_for_rights(operator, NAMESPACE, WATCHING)
    assert rights(operator, "team-b") == rights(operator, "kube-system") == {}


def test_cluster_wide_operator_creates_jobs_only_in_listed_namespaces(
    administrator: Administrator,
) -> None:
    administrator.install(RELEASE, {**ONE_TENANT, "clusterWide": True})
    operator = administrator.plane.caller(NAMESPACE, "detnas")
    wait_for_rights(operator, TENANT)
    for namespace in (NAMESPACE, "team-b", "kube-system"):
        wait_for_rights(operator, namespace, WATCHING)


def test_cluster_wide_operator_creates_jobs_elsewhere_after_a_binding(
    administrator: Administrator,
) -> None:
    administrator.install(
        RELEASE, {**ONE_TENANT, "clusterWide": True, "otherNamespaces": {"allowed": True}}
    )
    operator = administrator.plane.caller(NAMESPACE, "detnas")
    role, account = f"{NAMESPACE}-detnas-jobs", f"{NAMESPACE}:detnas"
    names = (f"--clusterrole={role}", f"--serviceaccount={account}", "--namespace=team-b")
    kubectl = administrator.plane.kubectl
    kubectl("create", "rolebinding", "detnas-jobs", *names)
    try:
        wait_for_rights(operator, "team-b")
        wait_for_rights(operator, "kube-system", WATCHING)
    finally:  # other tests share the control plane
        kubectl("delete", "rolebinding", "detnas-jobs", "--namespace=team-b")


def test_trainer_account_has_no_rights(installed: Administrator) -> None:
    assert rights(installed.plane.caller(TENANT, "detnas-trainer"), TENANT) == {}


@pytest.mark.parametrize(
    ("role", "verb", "allowed"),
    [("edit", "create", "yes"), ("view", "list", "yes"), ("view", "create", "no")],
)
def test_namespace_roles_include_searches(
    installed: Administrator, role: str, verb: str, allowed: str
) -> None:
    kubectl = installed.plane.kubectl
    binding = [f"--clusterrole={role}", f"--user={role}@example.com", f"--namespace={TENANT}"]
    kubectl("create", "rolebinding", f"people-{role}-{verb}", *binding)
    ask = ["auth", "can-i", verb, "detnassearches", f"--as={role}@example.com"]

    def answer(namespace: str) -> str:
        return kubectl(*ask, f"--namespace={namespace}", check=False).strip()

    # Kubernetes aggregates roles within a second or so.
    eventually(lambda: answer(TENANT) == allowed)
    assert answer("team-b") == "no"


def test_operator_and_check_pods_are_admitted_as_restricted(installed: Administrator) -> None:
    deployment = installed.plane.api.get("apis/apps/v1/deployments", NAMESPACE, "detnas")
    template = deployment["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "generateName": "operator-"}
    assert installed.plane.api.create(pod, NAMESPACE, dryRun="All")
    hook = yaml.safe_load(installed.helm("get", "hooks", RELEASE))
    assert installed.plane.api.create(hook, NAMESPACE, dryRun="All")


def checked(installed: Administrator, file: Path) -> subprocess.CompletedProcess[str]:
    """Run what the pod of `helm test` runs, with what it is given, as its service account."""
    api = installed.plane.api
    pod = yaml.safe_load(installed.helm("get", "hooks", RELEASE))["spec"]
    (container,) = pod["containers"]
    config = api.get("api/v1/configmaps", NAMESPACE, pod["volumes"][0]["configMap"]["name"])
    file.write_text(config["data"]["operator.yaml"])
    account = installed.plane.caller(NAMESPACE, pod["serviceAccountName"])
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment["KUBECONFIG"] = str(account.kubeconfig(file.with_suffix(".kubeconfig")))
    for source in container["envFrom"]:
        data = api.get(SECRETS, NAMESPACE, source["secretRef"]["name"])["data"]
        environment |= {name: base64.b64decode(text).decode() for name, text in data.items()}
    (program,) = container["command"]
    arguments = [str(file) if each.startswith("/etc") else each for each in container["args"]]
    command = [Path(sys.executable).with_name(program), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_helm_test_reports_what_works_and_what_does_not(
    administrator: Administrator, s3_server: S3Server, tmp_path: Path
) -> None:
    keys = {"accessKeyId": s3_server.access_key, "secretAccessKey": s3_server.secret_key}
    place = {"endpoint": s3_server.endpoint, "allowed": [f"s3://{s3_server.bucket}/chart"]}
    values = {**ONE_TENANT, "storage": {**place, "credentials": keys}}
    administrator.install(RELEASE, values)
    done = checked(administrator, tmp_path / "operator.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"may get, create services in {TENANT}" in done.stdout
    wrong = {**keys, "secretAccessKey": "wrong"}
    values = {**values, "rbac": {"create": False}, "storage": {**place, "credentials": wrong}}
    administrator.helm("upgrade", RELEASE, FOLDER, values=values)
    operator = administrator.plane.caller(NAMESPACE, "detnas")
    eventually(lambda: not rights(operator, TENANT))
    done = checked(administrator, tmp_path / "operator.yaml")
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert any("detnassearches" in line and "rbac.create" in line for line in failed)
    assert any(f"s3://{s3_server.bucket}/chart" in line for line in failed)


def test_install_notes_say_what_to_do_first(administrator: Administrator) -> None:
    said = administrator.install(RELEASE, ONE_TENANT)
    assert f"watches {NAMESPACE}, {TENANT}." in said
    assert f"helm test {RELEASE} --namespace {NAMESPACE} --logs" in said
    assert "It does not test the S3 keys of the namespaces" in said
    assert f"kubectl apply --namespace {TENANT} --filename search.yaml" in said
    assert f"kubectl delete detnas --all --namespace {TENANT} --wait" in said
    assert "!" not in said
    tenantless = {**SMALLEST, "metrics": {"serviceMonitor": {"enabled": True}}}
    said = administrator.helm("upgrade", RELEASE, FOLDER, values=tenantless)
    assert "! No search is accepted yet: list the namespaces" in said
    assert "! No ServiceMonitor was created" in said


def newer_chart(folder: Path) -> Path:
    """The chart with a definition that has one more short name."""
    chart = shutil.copytree(FOLDER, folder / "detnas")
    definition, names = chart / "files" / "crd.yaml", "    shortNames:\n    - detnas\n"
    text = definition.read_text()
    assert text.count(names) == 1
    definition.write_text(text.replace(names, f"{names}    - newer\n"))
    return chart


def test_upgrade_installs_the_new_definition(installed: Administrator, tmp_path: Path) -> None:
    newer = newer_chart(tmp_path)
    installed.helm("upgrade", RELEASE, newer, values=ONE_TENANT)
    definition = installed.definition()
    assert definition
    assert "newer" in definition["spec"]["names"]["shortNames"]


def test_rollback_restores_definition_rights_and_configuration(
    installed: Administrator, tmp_path: Path
) -> None:
    newer = newer_chart(tmp_path)
    installed.plane.api.create(manifest("kept"), TENANT)
    installed.helm("upgrade", RELEASE, newer, values={**ONE_TENANT, "clusterWide": True})
    operator = installed.plane.caller(NAMESPACE, "detnas")
    wait_for_rights(operator, "team-b", WATCHING)
    installed.helm("rollback", RELEASE)
    definition = installed.definition()
    assert definition
    assert "newer" not in definition["spec"]["names"]["shortNames"]
    wait_for_rights(operator, "team-b", {})
    wait_for_rights(operator, TENANT)
    assert installed.plane.api.get(SEARCHES, TENANT, "kept")


def test_searches_outlive_an_uninstalled_release(
    installed: Administrator,
) -> None:
    api = installed.plane.api
    api.create(manifest("kept"), TENANT)
    installed.helm("uninstall", RELEASE)
    assert api.find(SERVICE_ACCOUNTS, TENANT, "detnas-trainer") is None
    assert api.get(SEARCHES, TENANT, "kept")
    installed.install(RELEASE, ONE_TENANT)
    operator = installed.plane.caller(NAMESPACE, "detnas")
    wait_for_rights(operator, TENANT)
    assert operator.get(SEARCHES, TENANT, "kept")


def test_definition_stays_if_the_release_no_longer_has_it(installed: Administrator) -> None:
    values = {**ONE_TENANT, "crds": {"enabled": False}}
    installed.helm("upgrade", RELEASE, FOLDER, values=values)
    assert installed.definition()


def test_second_release_coexists_with_the_first(installed: Administrator) -> None:
    other = Administrator(installed.plane, ELSEWHERE)
    with_definition = {**SECOND, "crds": {"enabled": True}}
    refused = other.run_helm("install", RELEASE, FOLDER, values=with_definition)
    assert "detnassearches.detnas.dev" in refused.stderr
    assert "invalid ownership metadata" in refused.stderr
    said = other.install(RELEASE, SECOND)
    assert "belongs to another release" in said
    second = other.plane.caller(ELSEWHERE, "detnas")
    wait_for_rights(second, "team-b")
    assert rights(second, TENANT) == {}
    other.helm("uninstall", RELEASE)
    assert installed.definition()
    wait_for_rights(installed.plane.caller(NAMESPACE, "detnas"), TENANT)


def running_pod(api: Api, verb: str) -> str:
    """A job's pod that runs, as far as the API server knows; its name."""
    labels = {
        "app.kubernetes.io/name": "detnas-trainer",
        "app.kubernetes.io/managed-by": "detnas",
        "detnas.dev/verb": verb,
    }
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "trainer", "image": "trainer:1", "securityContext": restricted}
    pod: Document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": f"{verb}-", "labels": labels},
        "spec": {"nodeName": "node", "containers": [container]},
    }
    name: str = api.create(pod, TENANT)["metadata"]["name"]
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    api.patch(PODS, TENANT, name, {"status": ready}, "status")
    return name


def evict(api: Api, name: str) -> None:
    metadata = {"name": name, "namespace": TENANT}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    options = {"deleteOptions": {"gracePeriodSeconds": 0}}
    path = f"api/v1/namespaces/{TENANT}/pods/{name}/eviction"
    api.request("POST", path, {**eviction, **options})


def test_budget_prevents_eviction_of_every_pool_rank(
    administrator: Administrator,
) -> None:
    administrator.install(RELEASE, {**ONE_TENANT, "podDisruptionBudget": {"enabled": True}})
    api = administrator.plane.api
    ranks, trial = [running_pod(api, "pool") for _ in range(2)], running_pod(api, "evaluate")

    def counted() -> bool:
        path = "apis/policy/v1/poddisruptionbudgets"
        status = api.get(path, TENANT, "detnas-trainer").get("status", {})
        return bool(status.get("currentHealthy") == 2 and status["disruptionsAllowed"] == 0)

    eventually(counted)
    evict(api, trial)
    assert api.find(PODS, TENANT, trial) is None
    for rank in ranks:
        with pytest.raises(ApiError, match="429.*disruption budget"):
            evict(api, rank)
        api.delete(PODS, TENANT, rank, gracePeriodSeconds=0)
