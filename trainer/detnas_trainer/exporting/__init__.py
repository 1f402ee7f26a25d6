"""A detector as a folder that stock mmdet loads, without this project."""

from detnas_trainer.exporting.folder import CHECKPOINT, CONFIG, write_folder

__all__ = ["CHECKPOINT", "CONFIG", "write_folder"]
