"""What of a search's finished work the store lacks, by what its status says."""

from dataclasses import replace
from typing import Any

import pytest

from detnas.plan.requests import SearchRequests
from detnas.resource.cut import cut
from detnas.resource.status import MAX_COMPARED
from detnas.spec.loading import read_manifest
from detnas_operator.admission.data_loss import data_lost, token
from detnas_operator.admission.finished_work import Finished, finished_by_status, lost
from tests.cluster.searches import manifest

ROOT = "s3://lab/detnas"
ALL = Finished(record=True, prepared=True, base=True, phases=2, trials=6, export="a/students/best")
TRIALS = {"total": 6, "finished": 5, "active": 1, "succeeded": 3, "diverged": 1}


def requests() -> SearchRequests:
    document = manifest("one")
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


@pytest.mark.parametrize("job", ["the fine-tuning", "the extracted subnet"])
@pytest.mark.parametrize(
    ("reported", "best", "trials", "is_lost"),
    [
        ({"chosen": 3, "phase": "Succeeded"}, 3, 6, True),
        ({"chosen": 3, "phase": "Succeeded"}, 5, 6, False),  # the best since then
        ({"chosen": 3, "phase": "Succeeded"}, None, 6, False),
        ({"phase": "Succeeded"}, 3, 6, True),  # the base was exported
        ({"phase": "Exporting"}, 3, 6, True),
        ({"phase": "Comparing"}, 3, 7, False),  # a trial has ended since then
        ({"phase": "Searching"}, 3, 6, False),
    ],
    ids=str,
)
def test_lost_names_a_job_of_the_best_trial_only_if_it_was_the_best_before(
    job: str, reported: dict[str, Any], best: int | None, trials: int, is_lost: bool
) -> None:
    stored = replace(ALL, trials=trials)
    is_tuning = job == "the fine-tuning"
    stored = replace(stored, untuned=best) if is_tuning else replace(stored, unextracted=best)
    missing = lost(replace(ALL, **reported), stored)
    assert tuple(missing) == ((f"{job} of trial 3",) if is_lost else ())


ROWS = (
    {"name": "base", "h": "0.2", "testMap": "0.2"},
    {"name": "continued base", "h": "0.2", "testMap": "0.2"},
    {"name": "one-shot pruned", "message": "Invalid"},
    {"name": "scaled", "message": "Infrastructure"},
    {"name": "trial 3, fine-tuned", "h": "0.3", "testMap": "0.3"},
    {"name": "trial 5", "h": "0.3", "testMap": "0.3", "message": "Diverged"},
    {"name": "trial 6", "h": "0.3", "testMap": "0.3", "message": "Infrastructure"},
)
"""Of `status.compared`: what ended as Infrastructure may be repeated."""
TESTED = {"base", "continued base", "trial 3, fine-tuned", "trial 5", "trial 6"}


def test_lost_names_each_training_after_the_trials_that_had_ended() -> None:
    status = {"phase": "Succeeded", "compared": ROWS}
    reported = finished_by_status(status, requests(), ROOT)
    tuned = {f"trial {number}, fine-tuned" for number in (3, 5, 6, 7)}
    baselines = {"continued base", "one-shot pruned", "scaled"}
    stored = Finished(True, True, base=True, phases=2, trained=frozenset(tuned | baselines))
    assert list(lost(reported, stored)) == [
        "the baseline 'continued base'",
        "the baseline 'one-shot pruned'",
        "the fine-tuning of trial 3",
        "the fine-tuning of trial 5",
    ]


@pytest.mark.parametrize(
    ("due", "is_lost"),
    [
        (TESTED, True),
        (TESTED | {"scaled"}, False),  # trained since then: a new test
        (TESTED - {"continued base"}, False),  # no longer asked for: likewise
        (set(), False),
    ],
    ids=["the same", "one more", "one less", "no test due"],
)
def test_lost_names_the_scores_on_the_test_images_of_the_same_detectors(
    due: set[str], is_lost: bool
) -> None:
    reported = finished_by_status({"phase": "Succeeded", "compared": ROWS}, requests(), ROOT)
    stored = Finished(True, True, base=True, phases=2, tested=frozenset(due))
    missing = ["the scores on the test images (test/result.json)"] if is_lost else []
    assert list(lost(reported, stored)) == missing


def test_scores_of_more_detectors_than_the_status_names_are_missed_too() -> None:
    names = ["base", *(f"trial {number}" for number in range(9))]
    rows = [{"name": name, "h": "0.2", "testMap": "0.2"} for name in names]
    reported = finished_by_status({"compared": rows[:MAX_COMPARED]}, requests(), ROOT)
    assert len(list(lost(reported, Finished(tested=frozenset(names))))) == 1


@pytest.mark.parametrize(
    ("status", "reported"),
    [
        ({}, Finished()),
        ({"phase": "Pending"}, Finished(phase="Pending")),
        ({"folder": "s3://x"}, Finished(record=True)),
        (
            {"teachers": {"pool": f"{ROOT}/team-a/pools/1", "progress": "1/2"}},
            Finished(prepared=True, phases=1),
        ),
        (
            {"phase": "Failed", "teachers": {"pool": "p", "progress": "1/2"}},
            Finished(
                prepared=True, phases=0, phase="Failed"
            ),  # the phase that failed may have been counted
        ),
        ({"teachers": {"pool": "p", "progress": "Waiting"}}, Finished(prepared=True)),
        ({"teachers": {"pool": "p", "progress": "Ready"}}, Finished(prepared=True, phases=2)),
        (
            {"phase": "Suspended", "trials": TRIALS},
            Finished(prepared=True, base=True, phases=2, trials=4, phase="Suspended"),
        ),
        (
            {"phase": "Succeeded", "exported": {"uri": f"{ROOT}/a/students/best", "trial": 3}},
            Finished(
                prepared=True,
                base=True,
                phases=2,
                export="a/students/best",
                chosen=3,
                phase="Succeeded",
            ),
        ),
        ({"exported": {"uri": "s3://elsewhere/a"}}, Finished()),
    ],
    ids=str,
)
def test_finished_by_status_reads_what_the_status_says_was_finished(
    status: dict[str, Any], reported: Finished
) -> None:
    assert finished_by_status(status, requests(), ROOT) == reported


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
