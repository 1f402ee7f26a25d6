"""Two searches of one name, with equal pools, in two namespaces: nothing of theirs ever meets."""

from collections.abc import Callable

import pytest

from tests.cluster.admission import restrict
from tests.cluster.api import EVENTS, JOBS, PODS, Document
from tests.cluster.installation import Installation
from tests.operator.harness.fixtures import MakeHarness
from tests.operator.harness.harness import ProxiedHarness


@pytest.mark.slow
def test_searches_of_two_namespaces_share_no_object_key_or_pod_setting(
    make_harness: MakeHarness, namespaces: Callable[[], str]
) -> None:
    spaces = (namespaces(), namespaces())
    harness = make_harness(list(spaces))
    api = harness.cluster.api
    for space in spaces:
        restrict(api, space)
    harness.operator.start()
    searches = [harness.begin("same", namespace=space, trials=3) for space in spaces]
    for search in searches:
        search.until_phase("Succeeded")
    # The pools are equal, and yet each namespace trained its own.
    pools = [search.status["teachers"]["pool"] for search in searches]
    assert pools[0].rpartition("/")[2] == pools[1].rpartition("/")[2]
    assert all(f"/{s}/pools/" in pool for s, pool in zip(spaces, pools, strict=True))
    _check_keys(harness, spaces)
    _check_paths(harness, spaces)
    for mine, theirs in (spaces, spaces[::-1]):
        for kind in (JOBS, PODS, EVENTS):
            assert theirs not in str(api.list(kind, mine))
        for call in harness.journal.writes("s3"):
            if f"/{mine}/" in call.path:
                assert theirs.encode() not in call.body
        for pod in harness.player.played:
            if pod.namespace == mine:
                _check_pod(pod.document, harness.installation, mine)


def _check_keys(harness: ProxiedHarness, spaces: tuple[str, str]) -> None:
    root = harness.root.removeprefix("s3://")
    asked = harness.journal.store_keys()
    assert len(asked) > 50
    folders = [f"{root}/{s}/{kind}/" for s in spaces for kind in ("searches", "pools")]
    astray = {key for key in asked if not key.startswith(tuple(folders))}
    assert astray == {f"{root}/.detnas/probe"}


def _check_paths(harness: ProxiedHarness, spaces: tuple[str, str]) -> None:
    paths = {call.path for call in harness.journal.calls if call.server == "api"}
    watched = {*spaces, harness.installation.namespace}
    placed = {
        path.split("/namespaces/")[1].split("/")[0] for path in paths if "/namespaces/" in path
    }
    assert placed == watched
    # Nothing is asked for in all namespaces at once; reviews and discovery have none.
    wide = {path for path in paths if "/namespaces/" not in path}
    assert not [p for p in wide if p.endswith(("jobs", "pods", "detnassearches", "secrets"))]
    assert not [path for path in paths if "secrets" in path]


def _check_pod(pod: Document, installation: Installation, namespace: str) -> None:
    spec = pod["spec"]
    (tenant,) = [t for t in installation.settings["tenants"] if t["namespace"] == namespace]
    assert spec["serviceAccountName"] == tenant["serviceAccount"]
    assert spec["automountServiceAccountToken"] is False
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds == {"emptyDir", "persistentVolumeClaim"}  # no token, no host path
    (container,) = spec["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": tenant["credentialsSecret"]}}]
    assert f"/{namespace}/" in container["command"][-1]
