"""Signals that ask a run to stop."""

import os
import signal

import pytest

from detnas.runner.stopping import stop_on_signals


def test_the_first_signal_is_remembered_and_the_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals() as stop:
        assert (stop.times, stop.signal) == (0, None)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop.times, stop.signal) == (2, signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_third_signal_breaks_off_what_is_being_done() -> None:
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert stop.times == 3
