"""A search.json that the tenant may have written starts nothing that the policy forbids."""

from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.record import SearchRecord, load_search_record
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.store import Store, open_store
from detnas.store.artifacts import create_record
from detnas_operator.admission.admission import Admitted, parse
from detnas_operator.cluster.searches import SearchView
from detnas_operator.configuration.job_policy import JobPolicy, Rules, rules_of
from detnas_operator.reconcile.memory import SearchMemory
from detnas_operator.reconcile.opening import open_memory
from tests.cluster.searches import manifest
from tests.operator.tenancy.test_foreign_references import SETTINGS, resource

FOLDER = keys.search_folder("mine", "one", "0123456789")
POLICY = {"allowed": {"images": ["good/*"]}, "maximum": {"gpus": 2}}
RULES = rules_of(JobPolicy.model_validate(POLICY), JobPolicy())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri())


def searched(**status: str) -> SearchView:
    return SearchView({**resource().body, "status": status})


def write(
    store: Store, spec: dict[str, Any] | None = None, image: str = "", folder: str = FOLDER
) -> None:
    manifest = parse(resource(spec))
    requests = SearchRequests(manifest=manifest, search=folder, folder=None, pools="mine")
    record = SearchRecord(
        uid="0123456789",
        folder="",
        data=requests.data,
        manifest=manifest,
        versions={},
        image=image,
    )
    create_record(store, keys.search_record_key(folder), record)


def started(store: Store, search: SearchView, rules: Rules = RULES) -> SearchMemory:
    tenant = SETTINGS.tenant("mine")
    assert tenant is not None
    admitted = Admitted(parse(search), store.uri, tenant, image="trainer:1", pools_namespace="mine")
    return open_memory(search, admitted, store, rules)


def refused(store: Store, search: SearchView) -> BlockedError:
    before = load_search_record(store, FOLDER)
    with pytest.raises(BlockedError) as error:
        started(store, search)
    assert f"{store.uri}/{keys.search_record_key(FOLDER)}" in str(error.value)
    assert load_search_record(store, FOLDER) == before
    return error.value


@pytest.mark.parametrize("status", [{}, {"folder": f"ROOT/{FOLDER}"}])
def test_forged_record_with_a_forbidden_image_blocks_the_search(
    store: Store, status: dict[str, str]
) -> None:
    write(store, image="evil:1")
    said = {name: value.replace("ROOT", store.uri) for name, value in status.items()}
    error = refused(store, searched(**said))
    assert error.code == "PolicyViolation"
    assert "evil:1 violates jobs.policy.allowed.images, which allows good/*" in str(error)


@pytest.mark.parametrize("image", ["", "good/trainer:0", "trainer:1"])
def test_record_with_an_allowed_image_decides_the_image(store: Store, image: str) -> None:
    write(store, image=image)
    assert started(store, searched()).image == (image or "trainer:1")


def test_image_in_the_status_takes_precedence_over_the_record(store: Store) -> None:
    write(store, image="evil:1")
    search = searched(folder=f"{store.uri}/{FOLDER}", image="trainer:0")
    assert started(store, search).image == "trainer:0"


def test_record_with_any_image_decides_it_without_a_rule(store: Store) -> None:
    write(store, image="older:1")
    assert started(store, searched(), rules_of(JobPolicy(), JobPolicy())).image == "older:1"


BASE = manifest("one")["spec"]["base"]
GPUS = {"base": {**BASE, "gpus": 16}}


def test_forged_record_with_too_many_gpus_blocks_the_search(store: Store) -> None:
    write(store, GPUS)
    error = refused(store, searched())
    assert error.code == "PolicyViolation"
    assert "spec.base.gpus: 16 violates jobs.policy.maximum.gpus" in str(error)


def test_forged_record_with_too_many_gpus_stops_a_begun_search(store: Store) -> None:
    write(store, GPUS)
    found = started(store, searched(folder=f"{store.uri}/{FOLDER}", image="trainer:1"))
    assert found.admitted.violation is not None
    assert found.admitted.violation.code == "PolicyViolation"
    assert "search.json: spec.base.gpus: 16" in found.admitted.violation.message


def test_forged_record_with_unequal_shares_blocks_the_search(store: Store) -> None:
    write(store, {"evaluation": {"gpus": 2, "batchSize": 5}})
    assert refused(store, searched()).code == "InvalidSpec"
