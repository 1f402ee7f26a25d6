"""Jobs begin without packages that mmdet imports and they do not use; what uses one gets it."""

import json
import subprocess
import sys

PROGRAM = """
import sys
import torch
from detnas_trainer.openmmlab import InstanceData, TASK_UTILS
unused = ("imgaug", "matplotlib", "pandas", "scipy", "sklearn")
early = [name for name in unused if name in sys.modules]
import mmdet.utils.mot_error_visualize as plots
from mmdet.models.task_modules.assigners import HungarianAssigner
assigner = HungarianAssigner(match_costs=[dict(type="BBoxL1Cost")])
boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [4.0, 4.0, 6.0, 6.0]])
assigned = assigner.assign(
    InstanceData(bboxes=boxes, scores=torch.ones(2, 1)),
    InstanceData(bboxes=boxes.flip(0), labels=torch.zeros(2, dtype=torch.long)),
    img_meta={"img_shape": (8, 8)},
)
import json, scipy.optimize
print(json.dumps({
    "early": early,
    "assigned": assigned.gt_inds.tolist(),
    "plotted": plots.mcolors.to_hex((1.0, 0.0, 0.0)),
    "real": scipy.optimize.__file__ is not None,
}))
"""


def test_mmdets_imports_are_loaded_when_they_are_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {"early": [], "assigned": [2, 1], "plotted": "#ff0000", "real": True}
