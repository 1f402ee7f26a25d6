"""A detector as a folder that stock mmdet loads, without this project."""

from detnas_trainer.exporting.folder import BACKBONE, CHECKPOINT, CONFIG, write_folder

__all__ = ["BACKBONE", "CHECKPOINT", "CONFIG", "write_folder"]
