"""Exported files run over images in processes of their own, as they run anywhere."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from detnas.exported.measuring import SCORED, Measured, MeasuredFile


@dataclass(frozen=True)
class MeasuredOn:
    """What files are measured on.

    Attributes:
        annotations: file in COCO's form, with the images' absolute paths.
        threads: that one run may use.
        scratch: folder for what the processes write.
    """

    annotations: Path
    threads: int
    scratch: Path


class MeasuringProcess:
    """A process that runs files of one folder; all of them take each image in turn.

    It scores at once, beside whatever else is done, and waits with timing until `measured` is
    called. It ends with the ``with`` block.

    Args:
        files: of one format, whose runtime it imports.
        on: what they are measured on.
    """

    def __init__(self, files: Sequence[Path], on: MeasuredOn) -> None:
        self._files, self._on = tuple(files), on
        self._target = on.scratch / f"{files[0].name}.measured.json"
        self._errors = on.scratch / f"{files[0].name}.errors.txt"
        options = ["--annotations", on.annotations, "--images", "/", "--to", self._target]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "detnas.exported.measuring", "--wait"),
                    *("--threads", str(on.threads)),
                    *map(str, (*options, *files)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()  # without effect once it has ended
        self._process.__exit__(kind, error, traceback)

    @property
    def name(self) -> str:
        """Of the files, for people."""
        return ", ".join(file.name for file in self._files)

    def follow(self, progressed: Callable[[int], None]) -> None:
        """Wait until all images are scored, or the process has ended.

        Args:
            progressed: called with the number of images done; may raise to stop.
        """
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == SCORED:
                return
            if line.strip().isdigit():  # else a runtime's own remark
                progressed(int(line))

    def measured(self, progressed: Callable[[int], None]) -> dict[str, MeasuredFile]:
        """Let it time its files, and return what was measured, by the files' names.

        Args:
            progressed: as `follow` takes it: where a runtime crashed, each file is measured again
                by itself.
        """
        self._process.communicate("time\n")
        if self._process.returncode == 0:
            return Measured.model_validate_json(self._target.read_bytes()).files
        if len(self._files) == 1:
            said = self._errors.read_text(errors="replace").strip()
            reason = said or f"its process ended with {self._process.returncode}"
            return {self._files[0].name: MeasuredFile(failure=reason)}
        return {
            name: one for file in self._files for name, one in self._alone(file, progressed).items()
        }

    def _alone(self, file: Path, progressed: Callable[[int], None]) -> dict[str, MeasuredFile]:
        with MeasuringProcess([file], self._on) as process:
            process.follow(progressed)
            return process.measured(progressed)
