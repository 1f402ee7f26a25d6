"""What the operator logs of a whole search can be filtered by search, trial and job."""

import json
import re

from tests.operator.harness.behaviours import Gate, InTurn
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.recovery.held_trials import TRIALS

JOB = re.compile(r"\bone-(?:prepare|base|pool-\d|t\d{4}|export)\b")
OF_TRIALS = re.compile(r"one-t(\d{4})")


def test_log_line_that_names_a_job_or_a_trial_has_it_as_a_field(proxied: ProxiedHarness) -> None:
    gate = Gate()
    proxied.play(InTurn(proxied.trainer, last=2, lost=frozenset({0}), may_end=gate))
    search = proxied.begin("one")
    proxied.operator.start()
    search.until_training(*TRIALS)
    search.patch(suspend=True)
    search.until_condition("Suspended", "True")
    search.patch(suspend=False)
    gate.open()
    search.until_phase("Succeeded")
    proxied.operator.stop()
    lines = [json.loads(line) for line in proxied.operator.log.splitlines()]
    said = "\n".join(line["message"] for line in lines)
    for expected in ("started Job", "deleting Job", "ended without a result", "TrialFailed: trial"):
        assert expected in said, said
    for line in lines:
        if named := JOB.search(line["message"]):
            assert (line["search"], line["namespace"]) == ("one", search.namespace)
            assert line.get("job") == named[0], line
            number = OF_TRIALS.fullmatch(named[0])
            assert line.get("trial") == (int(number[1]) if number else None), line
        if number := re.match(r"\w+: trial (\d+):", line["message"]):
            assert line.get("trial") == int(number[1]), line
            assert line.get("job") == f"one-t{int(number[1]):04d}", line
