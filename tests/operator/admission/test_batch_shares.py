"""GPUs that cannot share a batch are refused to a new search, and told of a running one."""

from dataclasses import replace
from typing import Any

import pytest

from detnas.plan.stages import Phase
from detnas.reasons import Reason
from detnas.spec.batch_shares import unequal_shares
from detnas.spec.manifest import SearchSpec
from detnas_operator.admission.admission import Admitted, admit
from detnas_operator.cluster.searches import SearchView
from detnas_operator.status.conditions import conditions
from tests.cluster.searches import manifest
from tests.operator.status.pass_results import NOW, pass_result
from tests.operator.tenancy.test_foreign_references import ROOT, SETTINGS
from tests.operator.tenancy.test_foreign_references import resource as tenants_resource

FOLDER = f"{ROOT}/mine/searches/one-01234567"
CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"evaluation": {"gpus": 0}, "teachers": {"workers": 2, "gpusPerWorker": 0}}, []),
    ({"evaluation": {"gpus": 4, "batchSize": 8}, "teachers": {"workers": 8}}, []),
    ({"evaluation": {"gpus": 4, "batchSize": 6}}, ["evaluation.gpus"]),
    ({"finetune": {"epochs": 1, "gpus": 2, "batchSize": 3}}, ["finetune.gpus"]),
    ({"teachers": {"gpusPerWorker": 3}}, ["teachers.gpusPerWorker"]),
    ({"teachers": {"workers": 3, "gpusPerWorker": 0}}, ["teachers.workers"]),
    ({"teachers": {"workers": 16, "gpusPerWorker": 8}}, ["teachers.workers"]),
]


@pytest.mark.parametrize(("sections", "fields"), CASES)
def test_unequal_shares_names_each_field_that_does_not_divide_its_batch(
    sections: dict[str, Any], fields: list[str]
) -> None:
    spec = SearchSpec.model_validate(manifest("one", sections)["spec"])
    assert [one.path for one in unequal_shares(spec)] == [f"spec.{field}" for field in fields]


def resource(status: dict[str, Any]) -> SearchView:
    accepted = tenants_resource({"evaluation": {"gpus": 4, "batchSize": 6}})
    return SearchView({**accepted.body, "status": status})


def test_admit_refuses_a_new_search_with_unequal_shares() -> None:
    refused = admit(resource({}), SETTINGS)
    assert isinstance(refused, Reason)
    assert refused.code == "InvalidSpec"
    assert "spec.evaluation.gpus: a batch of 6 images cannot" in refused.message


def test_admit_accepts_a_begun_search_with_unequal_shares() -> None:
    assert isinstance(admit(resource({"folder": FOLDER}), SETTINGS), Admitted)


def test_accepted_condition_warns_of_unequal_shares_until_the_search_ends() -> None:
    told = {}
    for phase in (Phase.SEARCHING, Phase.SUCCEEDED):
        result = replace(pass_result(phase), warnings=("spec.evaluation.gpus: 4 GPUs",))
        told[phase] = conditions(result, (), NOW)[0]
    running, over = told[Phase.SEARCHING], told[Phase.SUCCEEDED]
    assert (running["type"], running["status"]) == ("Accepted", "True")
    assert running["reason"] == "AcceptedWithWarnings"
    assert running["message"].endswith("; spec.evaluation.gpus: 4 GPUs")
    assert over["reason"] == "Accepted"
