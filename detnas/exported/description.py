"""`detector.json`: what an exported folder holds, and what its files take and give.

Every file of a format other than mmdet's has the same inputs and outputs, for N images of which
each may have at most D detections:

- ``images``: uint8, N × 3 × H × W, channels red, green, blue; each image is at the top left, and
  what lies right of it and below it is ignored;
- ``sizes``: float32, N × 2: height and width in pixels that each image takes of H × W;
- ``boxes``: float32, N × D × 4: left, top, right, bottom, in pixels of ``images``;
- ``scores``: float32, N × D, falling; 0 where an image has fewer detections;
- ``labels``: int64, N × D: positions in the list of classes.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from detnas.errors import UserError
from detnas.records.exports import ExportedFile
from detnas.schema import Positive, Schema

DESCRIPTION = "detector.json"
"""Name of the description in an exported folder."""


class InputForm(Schema):
    """How an image becomes a file's input: resized at its own aspect ratio, then padded.

    Attributes:
        long_side: most pixels of an image's longer side, after resizing.
        short_side: most pixels of its shorter side.
        divisor: sides are padded to multiples of this, in pixels.
        order: of the channels.
        type: of the values, from 0 to 255.
        padding: value of the padding; any other would do.
    """

    long_side: Positive
    short_side: Positive
    divisor: Positive = 32
    order: Literal["RGB"] = "RGB"
    type: Literal["uint8"] = "uint8"
    padding: Annotated[int, Field(ge=0, le=255)] = 0


class FolderDescription(Schema):
    """The content of `detector.json`.

    Attributes:
        version: of this description's form.
        classes: names, in the order of the labels.
        input: how an image becomes an input; the same for all files.
        max_detections: most boxes in an image.
        files: the folder's detectors in their formats, mmdet's checkpoint among them.
    """

    version: Literal[1] = 1
    classes: tuple[str, ...]
    input: InputForm
    max_detections: Positive = 100
    files: tuple[ExportedFile, ...] = ()

    def file(self, path: str) -> ExportedFile:
        """The entry of a file.

        Raises:
            UserError: there is none.
        """
        for one in self.files:
            if one.path == path:
                return one
        names = ", ".join(one.path for one in self.files) or "none"
        raise UserError(f"{DESCRIPTION} describes no file {path!r}", f"it describes: {names}")


def load_description(folder: Path) -> FolderDescription:
    """Read the description of an exported folder.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    path = folder / DESCRIPTION
    try:
        return FolderDescription.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"{folder} has no {DESCRIPTION}",
            "give a file of a folder that detnas exported; earlier versions wrote none: export the "
            "detector again with 'detnas export'",
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path}: {place}: {first['msg']}", "export the folder again") from error


def save_description(folder: Path, description: FolderDescription) -> Path:
    """Write the description into an exported folder, and return its path."""
    path = folder / DESCRIPTION
    content = description.model_dump(mode="json", by_alias=True)
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    whole = path.with_name(f".{DESCRIPTION}")  # processes may be reading the old one
    whole.write_text(text, encoding="utf-8")
    whole.replace(path)
    return path
