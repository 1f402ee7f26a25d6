"""A search stays where it was accepted, whatever an administrator changes for new ones."""

from typing import Any

import pytest

from detnas.reasons import Reason
from detnas_operator.admission.admission import parse
from detnas_operator.admission.location import Location, location
from detnas_operator.cluster.searches import SearchView
from detnas_operator.configuration.settings import OperatorSettings
from tests.cluster.searches import manifest

OLD, NEW = "s3://experiments/old", "s3://experiments/new"
FOLDER = "mine/searches/one-01234567"
UID = "0123456789"


def storage(allowed: list[str], *, shared: bool = False) -> Any:
    found = {"allowed": allowed, "default": allowed[0], "sharedPools": shared}
    settings = {"trainer": {"image": "t"}, "tenants": [], "namespaces": ["mine"], "storage": found}
    return OperatorSettings.model_validate(settings).storage


def placed(settings: Any, status: dict[str, Any], spec: dict[str, Any] | None = None) -> Any:
    metadata = {"name": "one", "namespace": "mine", "uid": UID}
    resource = SearchView(manifest("one", spec) | {"metadata": metadata, "status": status})
    return location(resource, parse(resource).spec, settings)


def test_location_of_a_new_search_follows_the_settings() -> None:
    assert placed(storage([NEW, OLD]), {}) == Location(NEW, "mine")
    assert placed(storage([NEW, OLD], shared=True), {}) == Location(NEW, "shared")
    named = {"storage": {"uri": OLD}}
    assert placed(storage([NEW, OLD]), {}, named) == Location(OLD, "mine")


@pytest.mark.parametrize("shared", [True, False])
def test_location_of_an_accepted_search_stays(shared: bool) -> None:
    status = {"folder": f"{OLD}/{FOLDER}", "teachers": {"pool": f"{OLD}/mine/pools/00"}}
    assert placed(storage([NEW, OLD], shared=shared), status) == Location(OLD, "mine")
    status["teachers"] = {"pool": f"{OLD}/shared/pools/00"}
    found = placed(storage([NEW, OLD], shared=shared), status)
    if shared:
        assert found == Location(OLD, "shared")
    else:
        assert found.code == "PoolForbidden"
        assert "storage.sharedPools" in found.message


def test_location_that_is_no_longer_allowed_is_named() -> None:
    refused = placed(storage([NEW]), {"folder": f"{OLD}/{FOLDER}"})
    assert isinstance(refused, Reason)
    assert refused.code == "StorageForbidden"
    assert f"{OLD}/{FOLDER}" in refused.message
    assert "storage.allowed" in refused.message


def test_location_follows_the_folder_in_a_restored_status() -> None:
    earlier = {"folder": f"{OLD}/mine/searches/one-76543210"}
    assert placed(storage([NEW, OLD]), earlier) == Location(OLD, "mine")


@pytest.mark.parametrize(
    "folder", [f"{OLD}/mine/searches/two-76543210", f"{OLD}/{FOLDER}/x", "elsewhere", ""]
)
def test_location_ignores_the_folder_of_another_search(folder: str) -> None:
    assert placed(storage([NEW, OLD]), {"folder": folder}) == Location(NEW, "mine")
