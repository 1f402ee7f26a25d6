"""The Pareto front over mAP and FLOPs."""

from hypothesis import given
from hypothesis import strategies as st

from detnas.ledger.summary import FrontPoint
from detnas.plan.front import MeasuredDetector, measured_detectors, pareto_front, thinned
from detnas.plan.winner import trained_detector
from tests.detnas.trials import BASE, LARGE, SMALL, result, succeeded, summary_of
from tests.detnas.trials import proposal as trial


def detector(number: int, mean_ap: float, flops: int) -> MeasuredDetector:
    return MeasuredDetector(trial=number, resolution=LARGE, map=mean_ap, flops=flops, h=mean_ap)


points = st.builds(
    detector, st.integers(0, 100), st.integers(0, 10).map(lambda n: n / 10), st.integers(1, 10)
)


@given(st.lists(points, max_size=20))
def test_front_has_each_detector_that_nothing_dominates_once(
    detectors: list[MeasuredDetector],
) -> None:
    found = {(one.map, one.flops) for one in pareto_front(detectors)}
    undominated = {
        (one.map, one.flops)
        for one in detectors
        if not any(
            (o.map, o.flops) != (one.map, one.flops) and o.map >= one.map and o.flops <= one.flops
            for o in detectors
        )
    }
    assert found == undominated
    assert len(pareto_front(detectors)) == len(undominated)


def test_of_equal_detectors_the_first_is_on_the_front() -> None:
    assert [one.trial for one in pareto_front([detector(3, 0.4, 5), detector(1, 0.4, 5)])] == [3]


@given(st.integers(0, 40), st.integers(2, 10))
def test_thinned_front_keeps_both_ends(size: int, most: int) -> None:
    front = [detector(number, number / 100, number + 1) for number in range(size)]
    kept = [one.trial for one in thinned(front, most)]
    assert len(kept) == len(set(kept)) == min(size, most)
    assert kept == sorted(kept, key=lambda number: number or 0)
    assert [*kept[:1], *kept[-1:]] == [one.trial for one in (*front[:1], *front[-1:])]


def test_front_has_base_trials_and_finetuned_student() -> None:
    entries = [succeeded(trial(0), 0.35, 0.45), succeeded(trial(1), 0.2, 0.6)]
    tuned = result(1, (0.36, 0.55))
    detectors = measured_detectors(
        BASE,
        summary_of(entries).front,
        finetuned=[trained_detector(BASE, 1, tuned, trial(1).teacher)],
    )
    assert {(one.name, str(one.resolution), one.map) for one in pareto_front(detectors)} == {
        ("trial 1, fine-tuned", str(SMALL), 0.36),
        ("trial 1", str(LARGE), 0.6),
    }
    base = [one.map for one in detectors if one.name == "the base"]
    assert base == [one.map for one in BASE.scores]


def test_point_of_a_trial_keeps_its_error() -> None:
    found = FrontPoint(index=3, resolution=SMALL, map=0.4, flops=5, h=0.5, map_error=0.02)
    (point,) = [one for one in measured_detectors(BASE, [found]) if one.trial == 3]
    assert (point.map_error, point.h) == (0.02, 0.5)


def test_search_without_a_scored_base_has_no_front() -> None:
    assert measured_detectors(None, ()) == ()
    assert pareto_front(()) == ()


def test_trial_that_is_dominated_is_there_if_asked_for() -> None:
    worse = succeeded(trial(5), 0.1, 0.2)
    front = summary_of([worse, succeeded(trial(6), 0.3, 0.6)]).front
    assert 5 not in {one.trial for one in measured_detectors(BASE, front)}
    found = measured_detectors(BASE, front, [worse])
    assert [one.map for one in found if one.trial == 5] == [0.1, 0.2]
    assert pareto_front(found) == pareto_front(measured_detectors(BASE, front))
