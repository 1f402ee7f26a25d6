"""A teacher taken out of the pool: its own detector, with its own batch norm statistics."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from detnas.records.requests import PoolLayout
from detnas.records.settings import DetectorShape
from detnas.teachers import Teacher
from detnas_trainer.data.detection_data import Batch
from detnas_trainer.detector import load_detector
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.supernet.bn_reset import reset_statistics
from detnas_trainer.supernet.slicing import extract


def extract_teacher(
    state: Mapping[str, Tensor],
    pool: PoolLayout,
    teacher: Teacher,
    detector: DetectorShape,
    classes: int,
    batches: Iterable[Batch],
) -> TwoStageDetector:
    """A frozen detector in evaluation mode that depends on the pool, the teacher and the batches.

    Its weights are copies: nothing of it reaches the pool's tensors or another teacher.

    Args:
        state: the pool's weights; the teacher ends up on the same device.
        pool: how they are laid out.
        teacher: the subnet to take.
        detector: shape of everything around the backbone; the neck is the teacher's own.
        classes: number of classes, background not counted.
        batches: training images for the batch norms, the same for every use of the pool.

    Raises:
        UserError: the teacher is not in the pool's space, or there are no batches.
        WeightsMismatchError: the weights are not of that layout.
    """
    own = extract(state, pool.supernet, pool.space, teacher)
    model = load_detector(
        pool.supernet.architecture(teacher),
        detector,
        classes,
        own,
        pool.supernet.neck_width(teacher),
    )
    model.to(state["backbone.conv1.weight"].device).eval().requires_grad_(requires_grad=False)
    inputs = (model.data_preprocessor(batch, False)["inputs"] for batch in batches)
    reset_statistics(model, inputs, model.extract_feat)
    return model
