"""Network policies: who may reach the operator, and what it and the jobs may reach."""

from typing import Any

import pytest

from tests.chart.rendering import ONE_TENANT, Chart, Document, Objects, shipped

JOBS = {"app.kubernetes.io/name": "detnas-trainer", "app.kubernetes.io/managed-by": "detnas"}
ANYWHERE: list[Any] = []


def policies(chart: Chart, policy: dict[str, Any], **more: Any) -> Objects:
    return chart.render({**ONE_TENANT, **more, "networkPolicy": policy})


def ports(rule: Document) -> set[str]:
    return {f"{port['protocol']} {port['port']}" for port in rule.get("ports", [])}


def reached(policy: Document) -> list[tuple[set[str], Any]]:
    return [(ports(rule), rule.get("to", ANYWHERE)) for rule in policy["spec"]["egress"]]


def test_network_policies_are_off_by_default(rendered: Objects) -> None:
    assert rendered.kind("NetworkPolicy") == []


def test_network_policy_admits_health_and_metrics_only(chart: Chart) -> None:
    values = {"health": {"port": 8081}, "metrics": {"port": 9091}}
    policy = policies(chart, {"enabled": True}, **values).one("NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = policy["spec"]["ingress"]
    assert ports(rule) == {"TCP 8081", "TCP 9091"}
    assert "from" not in rule


def test_network_policy_selects_the_operator_and_its_check_only(chart: Chart) -> None:
    objects = policies(chart, {"enabled": True})
    selector = objects.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items()
    assert selector <= objects.template["metadata"]["labels"].items()
    assert selector <= objects.one("Pod")["metadata"]["labels"].items()
    assert not selector <= JOBS.items()


def test_network_policy_lets_the_operator_reach_dns_api_server_and_s3_only(chart: Chart) -> None:
    policy = policies(chart, {"enabled": True}).one("NetworkPolicy")
    assert reached(policy) == [
        ({"UDP 53", "TCP 53"}, ANYWHERE),
        ({"TCP 443", "TCP 6443"}, ANYWHERE),
        ({"TCP 443"}, ANYWHERE),
    ]


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("", 443),
        ("https://s3.example.com", 443),
        ("http://s3.example.com", 80),
        ("http://10.0.0.1:8333", 8333),
        ("https://[fd00::1]:9000/", 9000),
        ("https://[fd00::1]", 443),
    ],
)
def test_network_policy_has_the_port_of_the_s3_endpoint(
    chart: Chart, endpoint: str, port: int
) -> None:
    storage = {**ONE_TENANT["storage"], "endpoint": endpoint}
    policy = policies(chart, {"enabled": True}, storage=storage).one("NetworkPolicy")
    assert reached(policy)[-1] == ({f"TCP {port}"}, ANYWHERE)


def test_network_policy_destinations_can_be_named(chart: Chart) -> None:
    values = shipped("cluster-wide")["networkPolicy"]
    policy = chart.render(shipped("cluster-wide")).one("NetworkPolicy", "detnas")
    assert policy["spec"]["ingress"][0]["from"] == values["ingressFrom"]
    assert reached(policy) == [
        ({"UDP 53", "TCP 53"}, values["dns"]["to"]),
        ({"TCP 6443"}, values["apiServer"]["to"]),
        ({"TCP 443", "TCP 8333"}, ANYWHERE),
        ({"TCP 3128"}, ANYWHERE),
        ({"TCP 80"}, values["extraEgress"][0]["to"]),
    ]


def test_network_policy_lets_jobs_reach_dns_s3_and_each_other_only(chart: Chart) -> None:
    policy = policies(chart, {"trainer": {"enabled": True}}).one("NetworkPolicy")
    peers = [{"podSelector": {"matchLabels": JOBS}}]
    assert policy["metadata"]["namespace"] == "team-a"
    assert policy["spec"]["podSelector"]["matchLabels"] == JOBS
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == [{"from": peers}]
    assert reached(policy) == [
        (set(), peers),
        ({"UDP 53", "TCP 53"}, ANYWHERE),
        ({"TCP 443"}, ANYWHERE),
    ]


def test_network_policies_open_the_ports_of_the_proxies(chart: Chart) -> None:
    proxy = {"http": "http://proxy.example.com", "https": "http://proxy.example.com:3128"}
    policy = {"enabled": True, "trainer": {"enabled": True}}
    objects = policies(chart, policy, proxy=proxy)
    for name in ("detnas", "detnas-trainer"):
        assert reached(objects.one("NetworkPolicy", name))[-1] == ({"TCP 80", "TCP 3128"}, ANYWHERE)


def test_network_policy_address_and_port_of_the_proxy_can_be_named(chart: Chart) -> None:
    to = [{"ipBlock": {"cidr": "10.0.0.7/32"}}]
    policy = {"enabled": True, "proxy": {"to": to, "ports": [8080]}}
    objects = policies(chart, policy, proxy={"https": "http://proxy.example.com:3128"})
    assert reached(objects.one("NetworkPolicy"))[-1] == ({"TCP 8080"}, to)
