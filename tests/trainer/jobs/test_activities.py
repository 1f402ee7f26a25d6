import pytest

from detnas_trainer.jobs.job import Activities


def test_every_moment_belongs_to_the_innermost_activity() -> None:
    now = [0.0]
    activities = Activities(lambda: now[0])
    now[0] = 1.0
    with activities.activity("training"):
        now[0] = 11.0
        with activities.activity("checkpointing"):
            now[0] = 13.0
        now[0] = 20.0
    now[0] = 20.5
    seconds = activities.seconds()
    assert seconds == {"starting": 1.5, "training": 17.0, "checkpointing": 2.0}
    assert sum(seconds.values()) == pytest.approx(20.5)


def test_an_activity_that_fails_is_counted_and_left() -> None:
    now = [0.0]
    activities = Activities(lambda: now[0])

    def fail() -> None:
        with activities.activity("training"):
            now[0] = 3.0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    now[0] = 4.0
    assert activities.seconds() == {"starting": 1.0, "training": 3.0}


def test_time_of_earlier_attempts_is_added() -> None:
    activities = Activities(lambda: 0.0)
    activities.add({"training": 30.0})
    activities.add({"training": 5.0, "loading": 1.0})
    assert activities.seconds() == {"starting": 0.0, "training": 35.0, "loading": 1.0}
