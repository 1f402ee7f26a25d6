"""Files that run a detector without mmdet: ONNX, OpenVINO's IR and `torch.export`."""

from detnas_trainer.portable.tracing import LEAST_TRACED_SIDE, padded
from detnas_trainer.portable.writing import PortableWriter, all_files_of, file_name, why_not

__all__ = ["LEAST_TRACED_SIDE", "PortableWriter", "all_files_of", "file_name", "padded", "why_not"]
