"""The CustomResourceDefinition: upgraded with the chart, kept when it goes, one for a cluster."""

import yaml

from tests.chart.rendering import FOLDER, ONE_TENANT, Chart, Document, Objects

WRITTEN: Document = yaml.load((FOLDER / "files" / "crd.yaml").read_text(), Loader=yaml.CSafeLoader)


def test_chart_definition_is_the_generated_one(rendered: Objects) -> None:
    definition = rendered.one("CustomResourceDefinition")
    assert definition["spec"] == WRITTEN["spec"]
    assert definition["metadata"]["name"] == WRITTEN["metadata"]["name"]
    assert definition["apiVersion"] == "apiextensions.k8s.io/v1"
    written = WRITTEN["metadata"].get("annotations", {})
    assert written.items() <= definition["metadata"]["annotations"].items()


def test_chart_definition_is_a_template_which_helm_upgrades() -> None:
    assert not (FOLDER / "crds").exists()


def test_chart_definition_stays_after_uninstall(chart: Chart, rendered: Objects) -> None:
    policy = "helm.sh/resource-policy"
    kept = rendered.one("CustomResourceDefinition")["metadata"]["annotations"]
    assert kept[policy] == "keep"
    objects = chart.render({**ONE_TENANT, "crds": {"keep": False}}, definition=True)
    assert policy not in objects.one("CustomResourceDefinition")["metadata"]["annotations"]


def test_second_release_renders_everything_but_the_definition(
    chart: Chart, rendered: Objects
) -> None:
    def names(objects: Objects) -> set[tuple[str, str]]:
        return {(each["kind"], each["metadata"]["name"]) for each in objects}

    second = chart.render({**ONE_TENANT, "crds": {"enabled": False}}, definition=True)
    assert names(rendered) - names(second) == {
        ("CustomResourceDefinition", WRITTEN["metadata"]["name"])
    }
