"""Exported detectors as they run anywhere: without torch, mmdet or a search.

`description` is the file `detector.json` of an exported folder; `preparing` turns an image into a
file's input; `runtimes` runs a file; `detector` puts them together; `scoring` is COCO's mAP.
"""

from detnas.exported.description import (
    DESCRIPTION,
    FolderDescription,
    InputForm,
    load_description,
    save_description,
)
from detnas.exported.detector import Detections, ExportedDetector
from detnas.exported.preparing import decode_image, prepare, read_image
from detnas.exported.scoring import CocoImages, Metrics, read_coco, score_detections
from detnas.records.exports import ExportedFile, ExportFormat, FileLatency, FilePrecision

__all__ = [
    "DESCRIPTION",
    "CocoImages",
    "Detections",
    "ExportFormat",
    "ExportedDetector",
    "ExportedFile",
    "FileLatency",
    "FilePrecision",
    "FolderDescription",
    "InputForm",
    "Metrics",
    "decode_image",
    "load_description",
    "prepare",
    "read_coco",
    "read_image",
    "save_description",
    "score_detections",
]
