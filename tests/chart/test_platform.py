"""What the platform asks: policy of jobs, users and groups, certificates, proxies."""

from pathlib import Path
from typing import Any

from detnas.records.verbs import Verb
from detnas_operator.configuration.settings import OperatorSettings, load_settings
from detnas_operator.job.manifest import job_manifest
from tests.chart.rendering import ONE_TENANT, SMALLEST, Chart, Objects, Values
from tests.operator.job.orders import order
from tools.values_schema import FILE, written

NUMBERS = {"runAsUser", "runAsGroup", "fsGroup"}


def settings_of(objects: Objects, folder: Path) -> OperatorSettings:
    file = folder / "operator.yaml"
    file.write_text(objects.one("ConfigMap")["data"]["operator.yaml"])
    return load_settings(file)


def job(chart: Chart, values: Values, folder: Path, verb: Verb = Verb.EVALUATE) -> dict[str, Any]:
    """A Job in team-a of an operator that was installed with these values."""
    settings = settings_of(chart.render(values), folder)
    tenant = settings.tenant("team-a")
    assert tenant is not None
    return job_manifest(order(verb), settings, tenant)


def pod(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["spec"]["template"]["spec"]
    return found


def env(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"]}


def test_values_schema_matches_the_models() -> None:
    assert FILE.read_text() == written(), "run: python -m tools.values_schema"


def test_forced_values_are_on_the_job(chart: Chart, tmp_path: Path) -> None:
    everywhere = {
        "defaults": {"resources": {"memory": "32Gi", "ephemeralStorage": "60Gi"}},
        "forced": {
            "queueName": "research",
            "priorityClassName": "batch",
            "schedulerName": "volcano",
            "nodeSelector": {"pool": "gpu"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "podLabels": {"cost": "7"},
        },
    }
    own = {"forced": {"priorityClassName": "low"}}
    (tenant,) = ONE_TENANT["namespaces"]
    values = {
        **SMALLEST,
        "jobs": {"policy": everywhere},
        "namespaces": [{**tenant, "policy": own}],
    }
    made = job(chart, values, tmp_path)
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert made["spec"]["suspend"] is True
    assert made["spec"]["template"]["metadata"]["labels"]["cost"] == "7"
    spec = pod(made)
    assert (spec["priorityClassName"], spec["schedulerName"]) == ("low", "volcano")
    assert spec["nodeSelector"] == {"pool": "gpu"}
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    (container,) = spec["containers"]
    limits = {"memory": "32Gi", "ephemeral-storage": "60Gi", "nvidia.com/gpu": "1"}
    assert container["resources"] == {"requests": limits, "limits": limits}


def test_openshift_values_set_no_user_or_group(chart: Chart, tmp_path: Path) -> None:
    fixed, free = {**ONE_TENANT}, {**ONE_TENANT, "openshift": True}
    for values, expected in ((fixed, NUMBERS), (free, set[str]())):
        operator = chart.render(values).template["spec"]["securityContext"]
        trainer = pod(job(chart, values, tmp_path))["securityContext"]
        for security in (operator, trainer):
            assert NUMBERS & set(security) == expected
            assert security["runAsNonRoot"] is True
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_null_user_is_left_to_the_platform(chart: Chart, tmp_path: Path) -> None:
    values = {
        **ONE_TENANT,
        "jobs": {"podSecurityContext": {"fsGroup": None, "runAsUser": 1000680000}},
    }
    security = pod(job(chart, values, tmp_path))["securityContext"]
    assert "fsGroup" not in security
    assert (security["runAsUser"], security["runAsGroup"]) == (1000680000, 65532)


def test_supplemental_groups_are_on_the_job(chart: Chart, tmp_path: Path) -> None:
    (tenant,) = ONE_TENANT["namespaces"]
    values = {
        **SMALLEST,
        "namespaces": [{**tenant, "supplementalGroups": [1000680000, 5000]}],
        "jobs": {"podSecurityContext": {"supplementalGroups": [5000]}},
    }
    security = pod(job(chart, values, tmp_path))["securityContext"]
    assert security["supplementalGroups"] == [5000, 1000680000]
    assert security["runAsUser"] == 65532
    plain = pod(job(chart, ONE_TENANT, tmp_path))["securityContext"]
    assert "supplementalGroups" not in plain


def test_ca_bundle_is_mounted_where_boto_looks(chart: Chart, tmp_path: Path) -> None:
    items = [{"key": "ca.pem", "path": "ca.crt"}]
    sources = {
        "configMap": {"configMap": {"name": "company", "items": items}},
        "secret": {"secret": {"secretName": "company", "items": items}},
    }
    for kind, source in sources.items():
        storage = {**SMALLEST["storage"], "caBundle": {kind: "company", "key": "ca.pem"}}
        values = {**ONE_TENANT, "storage": storage}
        objects = chart.render(values)
        trainer = pod(job(chart, values, tmp_path))
        for spec, container in (
            (objects.template["spec"], objects.container),
            (trainer, trainer["containers"][0]),
        ):
            assert {"name": "ca", **source} in spec["volumes"]
            (mount,) = [one for one in container["volumeMounts"] if one["name"] == "ca"]
            assert mount["readOnly"] is True
            assert env(container)["AWS_CA_BUNDLE"] == f"{mount['mountPath']}/ca.crt"
        # The operator's two clients of S3 trust the same certificates.
        own = env(objects.container)
        assert own["SSL_CERT_FILE"] == own["AWS_CA_BUNDLE"]
    assert "AWS_CA_BUNDLE" not in env(chart.render(ONE_TENANT).container)
    both = {**SMALLEST["storage"], "caBundle": {"configMap": "a", "secret": "b"}}
    assert "give either configMap or secret" in chart.refusal({**SMALLEST, "storage": both})


def test_operator_and_jobs_use_the_proxy_but_not_for_the_api_server(
    chart: Chart, tmp_path: Path
) -> None:
    proxy = {"https": "http://proxy:3128", "noProxy": ".internal,169.254.169.254"}
    values = {**ONE_TENANT, "proxy": proxy, "jobs": {"env": {"LEVEL": "1"}}}
    operator = env(chart.render(values).container)
    assert operator["HTTPS_PROXY"] == "http://proxy:3128"
    assert operator["NO_PROXY"] == ".internal,169.254.169.254,$(KUBERNETES_SERVICE_HOST)"
    trainer = env(pod(job(chart, values, tmp_path))["containers"][0])
    assert trainer["HTTPS_PROXY"] == "http://proxy:3128"
    assert (trainer["NO_PROXY"], trainer["LEVEL"]) == (proxy["noProxy"], "1")
    assert "HTTP_PROXY" not in operator
    assert not {"HTTPS_PROXY", "NO_PROXY"} & set(env(chart.render(ONE_TENANT).container))
