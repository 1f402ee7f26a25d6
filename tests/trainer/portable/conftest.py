"""Files of a case's detector, written once for all tests of a worker."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detnas.exported.runtimes import RunFile, open_file
from detnas.records.exports import ExportFormat, FilePrecision
from detnas_trainer.portable import PortableWriter, file_name
from tests.trainer.portable.detectors import Case

Written = Callable[..., Path]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Returns a case's file in a format and precision, which is written unless it is there."""
    root = tmp_path_factory.mktemp("portable")
    writers: dict[str, PortableWriter] = {}

    def write(
        case: Case, form: ExportFormat, precision: FilePrecision = FilePrecision.FP32
    ) -> Path:
        if case.name not in writers:
            writers[case.name] = case.writer(root / case.name)
        writer = writers[case.name]
        path = writer.folder / file_name(form, precision)
        return path if path.exists() else writer.write(form, precision)

    return write


@pytest.fixture
def opened(written: Written) -> Callable[..., RunFile]:
    """Opens a case's file."""

    def open_one(
        case: Case, form: ExportFormat, precision: FilePrecision = FilePrecision.FP32
    ) -> RunFile:
        return open_file(written(case, form, precision), form)

    return open_one
