"""The trainer's exit codes: what the Job controller does with each, and what people are told."""

import signal

from detnas.resource.transitions import FOR_NEW_JOBS
from detnas_operator.job_state.states import FailureKind

USAGE, INVALID, OUT_OF_MEMORY, DATA_CHANGED, RESUME = 2, 42, 43, 44, 75
"""Those that are not a matter of luck; ``detnas-trainer --help`` explains them.

42 and 43 come from pinned trainers of earlier versions only; a present one ends with 0 once its
result is stored, and the outcome is in the result.
"""

_SIGNALLED = 128

_CODES = {
    1: (FailureKind.EXIT_CODE, "its log says what went wrong"),
    USAGE: (
        FailureKind.EXIT_CODE,
        "the trainer does not know this request; use a trainer image of the operator's version",
    ),
    INVALID: (FailureKind.CANDIDATE, "the candidate is invalid, or its training diverged"),
    OUT_OF_MEMORY: (
        FailureKind.CANDIDATE,
        "the GPU's memory does not hold it; use a smaller batch size or a larger GPU",
    ),
    DATA_CHANGED: (
        FailureKind.DATA_CHANGED,
        "the data set or the base's weights are not those that the search was prepared with",
    ),
    RESUME: (FailureKind.DISRUPTED, "it left a checkpoint and asks to be resumed"),
    126: (FailureKind.START_ERROR, "the image's detnas-trainer can not be run; use the project's"),
    127: (FailureKind.START_ERROR, "the image has no detnas-trainer; use one that has"),
}
_SIGNALS = {
    signal.SIGKILL: "it was killed from outside; if memory ran out, the node's log says so",
    signal.SIGBUS: f"shared memory ran out; raise spec.jobs.sharedMemory; {FOR_NEW_JOBS}",
    signal.SIGTERM: "it was asked to stop and did not answer with a checkpoint",
}


def explain_exit(code: int) -> tuple[FailureKind, str]:
    """Return the kind of an exit code, and what to say of it."""
    if code in _CODES:
        kind, advice = _CODES[code]
        return kind, f"ended with exit {code}: {advice}"
    if code > _SIGNALLED:
        return FailureKind.EXIT_CODE, _explain_signal(code)
    return FailureKind.EXIT_CODE, f"ended with exit {code}; its log says what went wrong"


def _explain_signal(code: int) -> str:
    try:
        number = signal.Signals(code - _SIGNALLED)
    except ValueError:
        return f"ended with exit {code}; its log says what went wrong"
    advice = _SIGNALS.get(number, "the trainer crashed; its log may say where")
    return f"was ended by {number.name} (exit {code}): {advice}"
