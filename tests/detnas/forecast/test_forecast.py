"""Hours and bytes follow from the manifest, the number of images and the speed of a device."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from detnas.fitting.fit import Wishes, fit
from detnas.fitting.machine import Machine
from detnas.fitting.manifest import DataPlace, manifest_text
from detnas.forecast.devices import Devices, on_cluster, on_machine
from detnas.forecast.past import past_jobs, past_speed
from detnas.forecast.search_forecast import (
    DataSize,
    SearchForecast,
    search_forecast,
    search_loads,
)
from detnas.forecast.speed import Speed, timed_speed
from detnas.forecast.trainings import trainings_of
from detnas.forecast.work import JobWork, search_work
from detnas.records.results import DetectorResult, Outcome, Result
from detnas.records.verbs import Verb
from detnas.spec import read_manifest
from detnas.spec.manifest import SearchSpec
from tests.cluster.searches import manifest
from tests.detnas.fitting.data_facts import facts

DATA = DataSize({"train": 1000, "val": 200}, classes=10)
SPEED = Speed(step=1e-9, scoring=5e-10, around=2.0)


def spec_of(sections: dict[str, Any] | None = None, **search: Any) -> SearchSpec:
    return read_manifest(manifest("one", sections, **search), "one").spec


def forecast(
    spec: SearchSpec, devices: Devices | None = None, speed: Speed = SPEED, data: DataSize = DATA
) -> SearchForecast:
    return search_forecast(spec, data, speed, devices or on_machine(spec, 2, 0), "a test")


def names(found: SearchForecast) -> list[str]:
    return [part.name for part in found.time.parts]


def of(found: SearchForecast, name: str) -> Any:
    return next(part for part in found.time.parts if part.name == name)


def test_every_kind_of_job_that_the_manifest_asks_for_is_counted():
    every = {
        "finetune": {"epochs": 2, "candidates": 3},
        "baselines": ["ContinuedBase", "Scaled"],
        "dataset": {
            "source": {"directory": "data"},
            "train": "t.json",
            "val": "v.json",
            "test": "x.json",
        },
    }
    found = forecast(
        spec_of(every), data=DataSize({"train": 1000, "val": 200, "test": 300}, classes=10)
    )
    assert {part.name: part.jobs for part in found.time.parts} == {
        "data check": 1,
        "base": 1,
        "pool, phase 0": 1,
        "pool, phase 1": 1,
        "trials": 6,
        "fine-tuning": 3,
        "baselines": 2,
        "test": 1,
        "export": 1,
    }


def test_what_exists_already_is_not_trained():
    found = forecast(spec_of({"teachers": {"pool": "s3://b/p/team/pools/0123456789abcdef"}}))
    assert not any(name.startswith("pool") for name in names(found))
    model = {"model": "faster-rcnn-r18-fpn"}
    imported, trained = (
        of(forecast(spec_of({"base": base})), "base").seconds_each.expected
        for base in (model | {"weights": "a.pth"}, model | {"train": {"epochs": 1}})
    )
    assert imported < trained / 3


def test_trials_at_once_save_time_and_no_hours():
    alone, together = (
        forecast(spec_of(parallelism=n), on_machine(spec_of(parallelism=n), 4, 4)) for n in (1, 4)
    )
    ratio = of(alone, "trials").wall_seconds.expected / of(together, "trials").wall_seconds.expected
    assert ratio == 6 / 2  # six trials in rounds of four
    hours = [of(one, "trials").device_hours.expected for one in (alone, together)]
    assert hours[0] == pytest.approx(hours[1])


def test_twice_the_epochs_take_twice_the_time():
    short, long = (
        of(forecast(spec_of({"evaluation": {"epochs": n}})), "trials").seconds_each.expected
        for n in (4, 8)
    )
    around = forecast(spec_of({"evaluation": {"epochs": 0}}))
    rest = of(around, "trials").seconds_each.expected
    assert long - rest == pytest.approx(2 * (short - rest))


def test_a_cluster_counts_every_gpu_of_every_worker():
    spec = spec_of(
        {
            "teachers": {
                "phases": [{"epochs": 1, "learningRate": "0.1"}],
                "workers": 4,
                "gpusPerWorker": 8,
            },
            "evaluation": {"gpus": 2},
        }
    )
    found = forecast(spec, on_cluster(spec))
    assert found.time.unit == "GPU"
    assert (of(found, "pool, phase 0").devices, of(found, "trials").devices) == (32, 2)
    pool = of(found, "pool, phase 0")
    assert pool.device_hours.expected == pytest.approx(32 * pool.seconds_each.expected / 3600)


def test_searching_the_pool_takes_jobs_of_25_subnets():
    found = forecast(spec_of(strategy="TeacherPool", trials=60))
    assert of(found, "trials (jobs of up to 25 subnets)").jobs == 3
    assert of(found, "extraction").jobs == 1


def test_patience_may_end_it_earlier():
    found = forecast(spec_of(trials=100, patience=9))
    trials = of(found, "trials")
    assert trials.device_hours.low * 10 * SPEED.spread.expected == pytest.approx(
        trials.device_hours.expected * SPEED.spread.low
    )
    assert any("after 10 of 100 trials" in note for note in found.notes)


def test_the_range_contains_what_is_expected():
    time = forecast(spec_of()).time
    for figure in (time.wall_seconds, time.device_hours):
        assert 0 < figure.low < figure.expected < figure.high


def test_storage_grows_with_kept_weights_and_the_pool():
    few, all_kept = (
        forecast(spec_of({"retention": {"weights": kept}}, trials=50)).storage.kept.expected
        for kept in ("Needed", "All")
    )
    one = forecast(spec_of({"teachers": {"phases": [{"epochs": 1, "learningRate": "0.1"}]}}))
    assert all_kept > 2 * few
    assert forecast(spec_of()).storage.kept.low > one.storage.kept.low


def test_init_and_estimate_agree():
    data, machine = facts(240), Machine(2, seconds_per_image=0.05)
    wishes = Wishes("parts", hours=2)
    found = fit(data, machine, wishes)
    splits = ("train", "val", "test")
    place = DataPlace(
        "s.yaml", "data", {one: f"{one}.json" for one in splits}, dict.fromkeys(splits, "images")
    )
    spec = read_manifest(yaml.safe_load(manifest_text(found, data, place, wishes)), "it").spec
    load = search_loads(spec, len(data.classes))
    later = search_forecast(
        spec,
        DataSize(data.images, len(data.classes)),
        timed_speed(0.05, load.base),
        on_machine(spec, 2, 0),
        "the same step",
    )
    assert later.time.wall_seconds.expected == pytest.approx(found.lengths.seconds, rel=0.1)


BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def took(kind: type[Result], training: float, evaluating: float, **more: Any) -> Any:
    seconds = {"training": training, "evaluating": evaluating, "loading": 1.0}
    end = BEGAN + timedelta(seconds=sum(seconds.values()))
    return kind(started=BEGAN, finished=end, seconds=seconds, **more)


def work_of(spec: SearchSpec) -> tuple[JobWork, ...]:
    return search_work(trainings_of(spec), search_loads(spec, DATA.classes), DATA.images)


def test_records_of_a_search_show_the_speed_of_each_kind():
    spec = spec_of()
    on = on_machine(spec, 2, 0)
    base = took(DetectorResult, training=400, evaluating=20)
    trials = [took(DetectorResult, training=seconds, evaluating=10) for seconds in range(90, 111)]
    lost = took(DetectorResult, 9, 1, outcome=Outcome.INVALID)
    work = work_of(spec)
    jobs = past_jobs(work, {(Verb.BASE, 0): [base], (Verb.EVALUATE, 0): [*trials, lost]})
    speed = past_speed(next(one for one in work if one.verb is Verb.BASE), base, jobs, on)
    again = forecast(spec, on, speed)
    assert of(again, "base").seconds_each.expected == pytest.approx(421)
    trial = of(again, "trials").seconds_each
    assert trial.expected == pytest.approx(111)
    assert (trial.low, trial.high) == (pytest.approx(103), pytest.approx(119))
    twice = forecast(spec_of({"evaluation": {"epochs": 6}}), on, speed)
    assert 1.5 < of(twice, "trials").seconds_each.expected / trial.expected < 2


def test_a_machine_of_several_gpus_shares_them_out():
    spec = spec_of({"evaluation": {"gpus": 2, "batchSize": 4}}, parallelism=8)
    found = forecast(spec, on_machine(spec, 32, 8))
    trials = of(found, "trials")
    assert (trials.devices, trials.at_once) == (2, 4)
