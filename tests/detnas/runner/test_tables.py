"""Tables of a search's outcome, as a terminal of 80 columns shows them."""

import io

from rich.console import Console

from detnas.gain import Gain
from detnas.lifecycle.status import ComparedDetector, DetectorStatus, OnTest, SearchStatus
from detnas.plan.stages import Phase
from detnas.runner.tables import finalists
from tests.detnas.trials import LARGE


def detector(h: float, on_test: OnTest | None = None) -> DetectorStatus:
    return DetectorStatus(
        h=h,
        resolution=LARGE,
        map=0.5123,
        flops=45_000_000,
        h_error=0.0123,
        map_error=0.0145,
        parameters=123_456,
        encoding="",
        on_test=on_test,
    )


TESTED = OnTest(h=0.2411, map=0.4911, h_error=0.0101, map_error=0.0222)
LEAD = Gain(difference=0.0123, low=-0.0012, high=0.0234, images=200, unseen=True)
LOST = "Infrastructure: " + "the node was lost, and so were all of its attempts; " * 3


def shown(*compared: ComparedDetector) -> list[str]:
    base = detector(0.2877).model_copy(update={"flops": 56_000_000, "is_base": True})
    status = SearchStatus(
        name="one", folder="file:///one", phase=Phase.SUCCEEDED, trials=9, base=base,
        compared=(ComparedDetector(name="base", detector=base), *compared),
    )  # fmt: skip
    found, out = finalists(status), io.StringIO()
    assert found is not None
    Console(file=out, width=80).print(found, soft_wrap=True)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_no_row_of_the_finalists_is_folded() -> None:
    names = ("continued base", "one-shot pruned", "trial 12, fine-tuned")
    lines = shown(
        *(ComparedDetector(name=name, detector=detector(0.3, TESTED), lead=LEAD) for name in names)
    )
    assert max(map(len, lines)) <= 80
    for name in names:
        first, second = (line for line in lines if line.startswith(name))
        assert "0.3000 ± 0.0123" in first
        assert "51.23 ± 1.45 %" in first
        assert "0.045 G (-20%)" in first
        assert second.split(maxsplit=name.count(" ") + 1)[-1] == (
            "0.2411 ± 0.0101 49.11 ± 2.22 % +0.0123 (-0.0012 to +0.0234)"
        )
    assert lines[-1] == "lead: on 200 unseen test images"


def test_failed_baseline_is_told_below_the_table() -> None:
    student = ComparedDetector(name="trial 12", detector=detector(0.3), exported=True)
    lines = shown(ComparedDetector(name="scaled", message=LOST.strip()), student)
    assert next(line for line in lines if line.startswith("trial 12")).endswith("exported")
    assert lines[-1] == f"scaled: {LOST.strip()}"
    assert "scaled" in lines


def test_single_student_needs_no_table_of_finalists() -> None:
    base = detector(0.2)
    status = SearchStatus(
        name="one", folder="file:///one", phase=Phase.SUCCEEDED, trials=9, base=base,
        compared=(ComparedDetector(name="base", detector=base),) * 2,
    )  # fmt: skip
    assert finalists(status) is None
