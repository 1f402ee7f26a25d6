"""What the operator logs of a whole search can be filtered by search, trial and job."""

import json
import re

from tests.operator.recovery.scene import SHORT, Door, Scene, Turns

JOB = re.compile(r"\bone-(?:prepare|base|pool-\d|t\d{4}|export)\b")
OF_TRIALS = re.compile(r"one-t(\d{4})")


def test_every_line_that_names_a_job_or_a_trial_has_it_as_a_field(scene: Scene) -> None:
    door = Door()
    scene.play(Turns(scene.trainer, last=2, lost=frozenset({0}), may_end=door))
    scene.begin(spec=SHORT)
    scene.operator.start()
    scene.await_running("one-t0000", "one-t0001")
    scene.change({"spec": {"suspend": True}})
    scene.await_condition("Suspended", "True")
    scene.change({"spec": {"suspend": False}})
    door.open()
    scene.await_end()
    scene.operator.stop()
    lines = [json.loads(line) for line in scene.operator.log.splitlines()]
    said = "\n".join(line["message"] for line in lines)
    for expected in ("started job", "deleting job", "ended without a result", "TrialFailed: trial"):
        assert expected in said, said
    for line in lines:
        if named := JOB.search(line["message"]):
            assert (line["search"], line["namespace"]) == ("one", scene.namespace)
            assert line.get("job") == named[0], line
            number = OF_TRIALS.fullmatch(named[0])
            assert line.get("trial") == (int(number[1]) if number else None), line
        if number := re.match(r"\w+: trial (\d+):", line["message"]):
            assert line.get("trial") == int(number[1]), line
            assert line.get("job") == f"one-t{int(number[1]):04d}", line
