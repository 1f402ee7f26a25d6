"""Signals that ask a run to stop."""

import os
import signal

import pytest

from detnas.runner.stopping import stop_on_signals


def test_stop_on_signals_counts_them_and_restores_the_handlers() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals() as stop:
        assert (stop.times, stop.signal) == (0, None)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop.times, stop.signal) == (2, signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before


def test_stop_on_signals_interrupts_at_the_third() -> None:
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert stop.times == 3
