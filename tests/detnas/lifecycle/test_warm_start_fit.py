"""A source that does not fit blocks, its base is trained, its teachers become the nearest."""

from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.warm_start.inheritance import nearest
from detnas.records.verbs import Verb
from detnas.store import Store
from detnas.teachers import TeacherSpace
from tests.detnas.searches.in_process import WARM_START, Scheduler, entries, tiny


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"resolutions": ["64x64", "96x96"]}, "spec.resolutions"),
        ({"detector": {"neck": 128}}, "spec.detector"),
        (
            {
                "base": {
                    "architecture": "[(16, 16)], [(32, 32)], [(64, 64)], [(64, 64)]",
                    "stem": 16,
                }
            },
            "spec.base",
        ),
    ],
)
def test_source_that_does_not_fit_blocks_before_any_job(
    store: Store, scheduler: Scheduler, spec: dict[str, Any], field: str
) -> None:
    scheduler.run(tiny(store, "one", trials=1))
    scheduler.done.clear()
    if "base" in spec:
        spec["base"]["train"] = {"epochs": 1}
    with pytest.raises(BlockedError, match=f"{field} does not fit") as refused:
        scheduler.run(tiny(store, "two", {**WARM_START, **spec}))
    assert refused.value.code == "WarmStartMismatch"
    assert scheduler.done == []


@pytest.mark.parametrize(
    "change", [{"digest": "e" * 64}, {"digest": "e" * 64, "classes": ("cat", "cow")}]
)
def test_source_of_other_data_blocks_after_the_data_check(
    store: Store, tmp_path: Path, change: dict[str, Any]
) -> None:
    Scheduler(tmp_path).run(tiny(store, "one", trials=1))
    other = Scheduler(tmp_path, {Verb.PREPARE: lambda result: result.model_copy(update=change)})
    with pytest.raises(BlockedError, match=r"spec\.dataset does not fit"):
        other.run(tiny(store, "two", WARM_START))
    assert [job.verb for job in other.done] == [Verb.PREPARE]


def with_listing(content: str) -> dict[Verb, dict[str, bytes]]:
    """Files of a data check with this image listing; none in an earlier version's."""
    return {Verb.PREPARE: {"pictures": content.encode()} if content else {}}


@pytest.mark.parametrize(
    ("theirs", "ours", "fits"), [("1", "1", True), ("1", "2", False), ("", "2", True)]
)
def test_source_of_other_images_blocks_if_both_listings_are_known(
    store: Store, tmp_path: Path, theirs: str, ours: str, fits: bool
) -> None:
    Scheduler(tmp_path, files=with_listing(theirs)).run(tiny(store, "one", trials=1))
    scheduler = Scheduler(tmp_path, files=with_listing(ours))
    if fits:
        scheduler.run(tiny(store, "two", WARM_START))
        assert scheduler.ran(Verb.EVALUATE)
        return
    with pytest.raises(BlockedError, match=r"spec\.dataset \(its images\) does not fit"):
        scheduler.run(tiny(store, "two", WARM_START))
    assert [job.verb for job in scheduler.done] == [Verb.PREPARE]


def test_base_with_another_schedule_is_trained(store: Store, scheduler: Scheduler) -> None:
    one = tiny(store, "one", trials=2)
    scheduler.run(one)
    scheduler.done.clear()
    base = one.requests.manifest.spec.base.model_dump(mode="json", by_alias=True, exclude_none=True)
    base["train"] = {"epochs": 2}
    state = scheduler.run(tiny(store, "two", {**WARM_START, "base": base}, trials=1))
    assert scheduler.ran(Verb.BASE) == [0]
    assert state.history.summary.inherited == 2


def test_teachers_of_another_space_become_the_nearest_of_this_one(
    store: Store, scheduler: Scheduler
) -> None:
    scheduler.run(tiny(store, "one", trials=6))
    teachers = {
        "phases": [{"epochs": 1, "learningRate": "0.1"}],
        "depths": {"max": [2, 2, 6, 2]},
        "widths": ["1.0", "1.5"],
    }
    two = tiny(
        store, "two", {**WARM_START, "teachers": teachers}, trials=4, studentProbability="1.0"
    )
    found = entries(two, scheduler.run(two))
    space = two.requests.spec.teachers.space
    assert all(space.contains(entry.proposal.teacher) for entry in found)
    assert scheduler.ran(Verb.POOL) == [0, 1, 0]


def test_the_nearest_teacher_of_the_own_space_is_itself() -> None:
    space, small = TeacherSpace(), TeacherSpace(max_depths=(2, 2, 4, 2), widths=("1.0", "1.5"))
    assert nearest(space, space.largest) == space.largest
    assert nearest(small, space.largest) == small.largest
    middle = space.largest.model_copy(update={"widths": (space.widths[1],) * 6})
    assert set(nearest(small, middle).widths) == {space.widths[0]}, "of equals, the narrower"
