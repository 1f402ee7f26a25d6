"""What the operator may do, where, and as whom it and the jobs run."""

import re

import pytest

from detnas_operator.check import TO_WATCH, TO_WORK, Rights
from tests.chart.rendering import (
    FOLDER,
    NAMESPACE,
    ONE_TENANT,
    SMALLEST,
    Chart,
    Document,
    Objects,
    shipped,
)
from tests.chart.rights import ALLOWED, WATCHING, WORKING, granted

OPERATOR = {"kind": "ServiceAccount", "name": "detnas", "namespace": NAMESPACE}
PEOPLE = {"detnas-system-detnas-editor", "detnas-system-detnas-viewer"}


def cluster_scoped(objects: Objects) -> set[tuple[str, str]]:
    return {
        (document["kind"], document["metadata"]["name"])
        for document in objects
        if "namespace" not in document["metadata"]
    }


def test_role_in_each_watched_namespace_grants_exactly_the_rights(rendered: Objects) -> None:
    roles = {
        role["metadata"]["namespace"]: granted(role["rules"]) for role in rendered.kind("Role")
    }
    assert roles == {NAMESPACE: WATCHING, "team-a": ALLOWED}


@pytest.mark.parametrize(("rights", "roles"), [(TO_WATCH, WATCHING), (TO_WORK, WORKING)])
def test_helm_test_requires_exactly_these_rights(
    rights: Rights, roles: dict[str, set[str]]
) -> None:
    asked = {
        f"{kind}/{part}".removesuffix("/"): set(verbs) for (kind, part), verbs in rights.items()
    }
    assert asked == {name.partition("/")[2]: verbs for name, verbs in roles.items()}


def test_readme_lists_exactly_these_rights() -> None:
    table = (FOLDER / "README.md").read_text(encoding="utf-8").partition("| resource |")[2]
    listed: list[dict[str, set[str]]] = [{}, {}]
    for row in re.findall(r"^\| `(.+?)` \|(.*?)\|(.*?)\|", table, re.MULTILINE):
        resource, _, part = row[0].partition("/")
        name, _, group = resource.partition(".")
        for rights, cell in zip(listed, row[1:], strict=True):
            if verbs := set(cell.replace(",", " ").split()):
                rights[f"{group}/{name}/{part}".removesuffix("/")] = verbs
    assert listed == [WATCHING, WORKING]


def test_role_is_bound_to_the_operator_only(rendered: Objects) -> None:
    bindings = rendered.kind("RoleBinding")
    assert {each["metadata"]["namespace"] for each in bindings} == {NAMESPACE, "team-a"}
    for binding in bindings:
        assert binding["roleRef"]["kind"] == "Role"
        role = rendered.one("Role", binding["roleRef"]["name"], binding["metadata"]["namespace"])
        assert role
        assert binding["subjects"] == [OPERATOR]
    assert rendered.template["spec"]["serviceAccountName"] == OPERATOR["name"]


def test_release_namespace_gets_one_role_if_it_is_a_tenant_too(chart: Chart) -> None:
    tenant = {"name": NAMESPACE, "s3": {"workloadIdentity": True}}
    objects = chart.render({**SMALLEST, "namespaces": [tenant]})
    assert len(objects.kind("Role")) == len(objects.kind("RoleBinding")) == 1
    assert objects.settings["namespaces"] == [NAMESPACE]


def test_namespaced_release_has_no_other_cluster_scoped_object(
    chart: Chart, rendered: Objects
) -> None:
    assert cluster_scoped(rendered) == {
        ("CustomResourceDefinition", "detnassearches.detnas.dev"),
        *(("ClusterRole", name) for name in PEOPLE),
    }
    without = {"crds": {"enabled": False}, "aggregatedRoles": {"create": False}}
    assert cluster_scoped(chart.render({**ONE_TENANT, **without}, definition=True)) == set()


@pytest.mark.parametrize("others", [False, True], ids=["listed", "others"])
def test_cluster_wide_release_watches_everywhere_and_creates_jobs_where_configured(
    chart: Chart, others: bool
) -> None:
    values = {**ONE_TENANT, "clusterWide": True, "otherNamespaces": {"allowed": others}}
    objects = chart.render(values)
    everywhere, there = objects.one("ClusterRoleBinding"), objects.one("RoleBinding")
    assert there["metadata"]["namespace"] == "team-a"
    for binding, rights in ((everywhere, WATCHING), (there, WORKING)):
        assert binding["subjects"] == [OPERATOR]
        role = objects.one(binding["roleRef"]["kind"], binding["roleRef"]["name"])
        assert granted(role["rules"]) == rights
    unbound = {"detnas-system-detnas-jobs"} if others else set()
    names = {role["metadata"]["name"] for role in objects.kind("ClusterRole")}
    assert names - PEOPLE == {"detnas-system-detnas", *unbound}
    for name in unbound:
        assert granted(objects.one("ClusterRole", name)["rules"]) == WORKING
    assert objects.settings["namespaces"] == []


def test_rights_are_not_rendered_if_rbac_is_disabled(chart: Chart) -> None:
    for cluster_wide in (False, True):
        values = {**ONE_TENANT, "rbac": {"create": False}, "clusterWide": cluster_wide}
        objects = chart.render(values)
        assert objects.kind("Role") == objects.kind("RoleBinding") == []
        assert objects.kind("ClusterRoleBinding") == []
        assert {role["metadata"]["name"] for role in objects.kind("ClusterRole")} == PEOPLE


def test_edit_role_includes_searches(rendered: Objects) -> None:
    editor = rendered.one("ClusterRole", "detnas-system-detnas-editor")
    assert granted(editor["rules"]) == {
        "detnas.dev/detnassearches": {
            "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
        },
        "detnas.dev/detnassearches/status": {"get"},
    }  # fmt: skip
    assert aggregates_to(editor) == {"admin", "edit"}


def test_view_role_includes_searches(rendered: Objects) -> None:
    viewer = rendered.one("ClusterRole", "detnas-system-detnas-viewer")
    assert granted(viewer["rules"]) == {
        "detnas.dev/detnassearches": {"get", "list", "watch"},
        "detnas.dev/detnassearches/status": {"get"},
    }
    assert aggregates_to(viewer) == {"view"}


def aggregates_to(role: Document) -> set[str]:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    labels = role["metadata"]["labels"].items()
    return {
        name.removeprefix(prefix) for name, value in labels if prefix in name and value == "true"
    }


def test_releases_of_one_name_in_two_namespaces_share_no_cluster_scoped_name(
    chart: Chart, rendered: Objects
) -> None:
    second = {**ONE_TENANT, "crds": {"enabled": False}}
    other = chart.render(second, namespace="elsewhere", definition=True)
    assert cluster_scoped(other).isdisjoint(cluster_scoped(rendered))


def test_trainer_account_has_no_token(rendered: Objects) -> None:
    account = rendered.one("ServiceAccount", namespace="team-a")
    assert account["automountServiceAccountToken"] is False
    assert rendered.settings["tenants"][0]["serviceAccount"] == account["metadata"]["name"]
    bound = [subject for each in rendered.kind("RoleBinding") for subject in each["subjects"]]
    assert account["metadata"]["name"] not in {subject["name"] for subject in bound}


def test_operator_pod_alone_mounts_its_token(rendered: Objects) -> None:
    assert rendered.one("ServiceAccount", "detnas")["automountServiceAccountToken"] is False
    assert rendered.template["spec"]["automountServiceAccountToken"] is True


def test_trainer_account_may_exist_already(chart: Chart) -> None:
    objects = chart.render(shipped("namespaced"))
    made = {each["metadata"]["namespace"] for each in objects.kind("ServiceAccount")}
    assert made == {NAMESPACE, "team-a", "team-b", "team-c"}
    tenants = {each["namespace"]: each["serviceAccount"] for each in objects.settings["tenants"]}
    assert tenants["team-d"] == "searches"


def test_operator_account_may_exist_already(chart: Chart) -> None:
    objects = chart.render({**SMALLEST, "serviceAccount": {"create": False, "name": "present"}})
    assert objects.kind("ServiceAccount") == []
    assert objects.template["spec"]["serviceAccountName"] == "present"
    assert objects.one("RoleBinding")["subjects"][0]["name"] == "present"


@pytest.mark.parametrize(
    "values",
    [
        {
            "namespaces": [
                {
                    "name": NAMESPACE,
                    "s3": {"workloadIdentity": True},
                    "serviceAccount": {"create": False, "name": "detnas"},
                }
            ]
        },
        {
            "clusterWide": True,
            "otherNamespaces": {"allowed": True, "serviceAccount": "detnas"},
        },
    ],
    ids=["tenant", "any namespace"],
)
def test_jobs_never_run_as_the_operator(chart: Chart, values: Document) -> None:
    assert "jobs must not run as the operator" in chart.refusal({**SMALLEST, **values})
