"""The jobs of a search with a cascade: base, pool, a trial under such a teacher, export."""

import pytest

from detnas.records.requests import Pool
from detnas.records.results import Outcome
from detnas.records.settings import Distillation, HeadKind
from tests.trainer.conftest import SHAPE, SPACE, Workplace, training
from tests.trainer.jobs.test_export import exported


@pytest.mark.slow
def test_student_with_a_cascade_is_distilled_and_exported(workplace: Workplace) -> None:
    shape = workplace.common["detector"].model_copy(update={"head": HeadKind.CASCADE})
    workplace.common["detector"] = shape
    one = {"training": training(1)}
    base = workplace.succeed(workplace.base_request("local/a/base", **one))
    phase = workplace.pool_request("local/pools/p/phase-0", phase=0, space=SPACE)
    supernet = workplace.succeed(phase)
    student = workplace.succeed(
        workplace.student_request(
            "local/a/trials/0001",
            pool=Pool(supernet=SHAPE, space=SPACE, weights=supernet.weights, bn_images=4),
            teacher=SPACE.smallest,
            parent_weights=base.weights,
            distillation=Distillation(localization="Plain"),
        )
    )
    assert student.outcome is Outcome.SUCCEEDED
    assert {f"s{stage}.loss_distill_classification" for stage in range(3)} < set(student.final_loss)
    changes = {**exported(student), "base_weights": base.weights}
    key = "local/a/students/best"
    result = workplace.succeed(workplace.export_request(key, **changes))
    assert result.map == student.scores[-1].map  # stock mmdet has loaded and scored it
