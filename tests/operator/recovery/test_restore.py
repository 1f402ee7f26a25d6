"""A resource that is restored or created again continues with its data, and asks if unclear."""

import pytest

from tests.cluster.api import Document
from tests.operator.harness.behaviours import InTurn
from tests.operator.harness.checks import JobWatch
from tests.operator.harness.harness import ProxiedHarness

ADOPT = "detnas.dev/adopt"


@pytest.fixture
def backup(proxied: ProxiedHarness, namespace: str) -> Document:
    """A search that has succeeded, as it was before its resource was deleted; nothing runs."""
    proxied.play(InTurn(proxied.trainer, last=1))
    search = proxied.begin("one", namespace=namespace)
    proxied.operator.start()
    search.until_phase("Succeeded")
    search.until_settled()
    proxied.operator.stop()
    found = search.resource
    search.delete()
    search.until(lambda: not search.jobs())
    assert not search.exists
    return found


def test_resource_restored_with_its_status_continues_at_once(
    proxied: ProxiedHarness, backup: Document, namespace: str
) -> None:
    search = proxied.begin("one", namespace=namespace)
    assert search.uid != backup["metadata"]["uid"]
    search.patch_resource({"status": backup["status"]}, "status")
    with JobWatch(search) as seen:
        proxied.operator.start()
        search.until(proxied.has_passed)
        search.patch(search={"trials": 3})
        search.until(lambda: search.trials.get("finished") == 3)
        search.until_phase("Succeeded")
    assert search.status["folder"] == backup["status"]["folder"]
    started = {*seen.of(search)}
    assert "one-t0002" in started
    assert not started & {"one-prepare", "one-base", "one-pool-0", "one-t0000", "one-t0001"}


def test_resource_without_a_status_asks_and_continues_with_the_folder_a_person_names(
    proxied: ProxiedHarness, backup: Document, namespace: str
) -> None:
    search = proxied.begin("one", namespace=namespace)
    folder = backup["status"]["folder"].rpartition("/")[2]
    with JobWatch(search) as seen:
        proxied.operator.start()
        message = search.until_condition("Degraded", "True", "EarlierData")["message"]
        assert f"{folder} (2 finished trials)" in message
        assert (
            f"{ADOPT}={folder} to continue with it, or {ADOPT}=none to begin from scratch"
            in message
        )
        search.annotate(ADOPT, "another-01234567")
        search.until(lambda: "which is no folder" in search.condition("Degraded")["message"])
        search.annotate(ADOPT, folder)
        search.until_phase("Succeeded")
    status = search.status
    assert seen.of(search) == {}
    assert status["folder"] == backup["status"]["folder"]
    assert status["exported"] == backup["status"]["exported"]


def test_resource_without_a_status_starts_from_scratch_if_a_person_says_so(
    proxied: ProxiedHarness, backup: Document, namespace: str
) -> None:
    search = proxied.search("one", namespace=namespace)
    search.body["metadata"]["annotations"] = {ADOPT: "none"}
    search.apply()
    proxied.operator.start()
    search.until_phase("Succeeded")
    assert search.status["folder"] != backup["status"]["folder"]
    assert search.trials["succeeded"] == 2
