"""What of a search's finished work the store lacks, by what its status says."""

from dataclasses import replace
from typing import Any

import pytest

from detnas.plan.requests import SearchRequests
from detnas.resource.cut import cut
from detnas.spec.loading import read_manifest
from detnas_operator.admission.data_loss import Finished, data_lost, finished_by_status, lost, token
from tests.cluster.searches import manifest

ROOT = "s3://lab/detnas"
ALL = Finished(record=True, prepared=True, base=True, phases=2, trials=6, export="a/students/best")
TRIALS = {"total": 6, "finished": 5, "active": 1, "succeeded": 3, "diverged": 1}


def requests(finetune: bool = False) -> SearchRequests:
    document = manifest("one", {"finetune": {"epochs": 1}} if finetune else None)
    document["metadata"]["namespace"] = "team-a"
    read = read_manifest(document, "one")
    return SearchRequests(manifest=read, search="team-a/searches/one-0", folder=None)


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        ({}, ()),
        ({"phases": 3, "trials": 9}, ()),
        ({"record": False}, ("search.json",)),
        ({"prepared": False}, ("the data check (prepare/result.json)",)),
        ({"base": False}, ("the base (base/result.json)",)),
        ({"phases": 0}, ("2 of 2 trained phases of the teacher pool",)),
        ({"trials": 4}, ("2 of 6 finished trials (trials/NNNN/result.json)",)),
        ({"export": ""}, ("the exported student (a/students/best/result.json)",)),
    ],
    ids=str,
)
def test_lost_names_all_that_is_missing(found: dict[str, Any], missing: tuple[str, ...]) -> None:
    assert tuple(lost(ALL, replace(ALL, **found))) == missing


def test_lost_of_an_empty_store_is_all_that_was_finished() -> None:
    assert not list(lost(Finished(), Finished()))
    assert len(list(lost(ALL, Finished()))) == 6


@pytest.mark.parametrize(
    ("reported", "found", "is_lost"),
    [
        ({"tuned": 3}, {"untuned": 3}, True),
        ({"tuned": 3}, {"untuned": 5}, False),  # the best since then
        ({"tuned": 3}, {}, False),
        ({"over": True}, {"untuned": 3}, True),
        ({"over": True}, {"untuned": 3, "trials": 7}, False),  # a trial has ended since then
        ({}, {"untuned": 3}, False),  # not fine-tuned yet
    ],
    ids=str,
)
def test_lost_names_a_fine_tuning_only_of_the_same_trial(
    reported: dict[str, Any], found: dict[str, Any], is_lost: bool
) -> None:
    missing = tuple(lost(replace(ALL, **reported), replace(ALL, **found)))
    assert missing == (("the fine-tuning of trial 3",) if is_lost else ())


@pytest.mark.parametrize(
    ("status", "reported"),
    [
        ({}, Finished()),
        ({"phase": "Pending"}, Finished()),
        ({"folder": "s3://x"}, Finished(record=True)),
        (
            {"teachers": {"pool": f"{ROOT}/team-a/pools/1", "progress": "1/2"}},
            Finished(prepared=True, phases=1),
        ),
        (
            {"phase": "Failed", "teachers": {"pool": "p", "progress": "1/2"}},
            Finished(prepared=True, phases=0),  # the phase that failed may have been counted
        ),
        ({"teachers": {"pool": "p", "progress": "Waiting"}}, Finished(prepared=True)),
        ({"teachers": {"pool": "p", "progress": "Ready"}}, Finished(prepared=True, phases=2)),
        (
            {"phase": "Suspended", "trials": TRIALS},
            Finished(prepared=True, base=True, phases=2, trials=4),
        ),
        (
            {"phase": "Succeeded", "exported": {"uri": f"{ROOT}/a/students/best", "trial": 3}},
            Finished(prepared=True, base=True, phases=2, export="a/students/best"),
        ),
        ({"exported": {"uri": "s3://elsewhere/a"}}, Finished()),
    ],
    ids=str,
)
def test_finished_by_status_reads_what_the_status_says_was_finished(
    status: dict[str, Any], reported: Finished
) -> None:
    assert finished_by_status(status, requests(), ROOT) == reported


def test_finished_by_status_counts_a_fine_tuning_only_if_requested() -> None:
    exported = {"phase": "Succeeded", "exported": {"uri": f"{ROOT}/a", "trial": 3}}
    assert finished_by_status(exported, requests(finetune=True), ROOT).tuned == 3
    assert finished_by_status(exported, requests(), ROOT).tuned is None
    assert finished_by_status({"phase": "Exporting"}, requests(finetune=True), ROOT).over
    assert not finished_by_status({"phase": "Exporting"}, requests(), ROOT).over


def test_token_accepts_each_loss_once() -> None:
    missing = ("the base (base/result.json)", "search.json")
    first = token(missing, "")
    assert first == token(missing[:1], "")
    assert first != token(("the data check (prepare/result.json)",), "")
    assert token(missing, first) != first


def test_data_lost_names_running_jobs_and_the_command() -> None:
    running = ["one-t0001", "one-t0002", "one-t0003", "one-t0004"]
    said = data_lost(("search.json",), f"{ROOT}/team-a/searches/one-two-0", "team-a", running, "ab")
    assert said.code == "DataLost"
    assert "(running: one-t0001, one-t0002, one-t0003 and 1 more;" in said.message
    assert (
        "kubectl annotate detnas one-two --namespace team-a --overwrite "
        "detnas.dev/accept-data-loss=ab; "
    ) in said.message
    assert said.message.endswith(f"lost from {ROOT}/team-a/searches/one-two-0: search.json")


def test_data_lost_shows_the_entire_command_for_long_names() -> None:
    namespace, name = "n" * 63, "s" * 63
    uri = f"s3://{'b' * 63}/{'p' * 400}/{namespace}/searches/{name}-01234567"
    running = [f"{name}-t{number:04}" for number in range(3)]
    said = cut(data_lost(("the base",) * 9, uri, namespace, running, "3f9a01c7").message, 1000)
    command = f"detnas {name} --namespace {namespace} --overwrite detnas.dev/accept-data-loss="
    assert f"{command}3f9a01c7;" in said
