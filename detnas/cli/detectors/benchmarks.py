"""What `detnas bench -o json` printed, as other commands take it."""

from pathlib import Path

from pydantic import ValidationError

from detnas.errors import UserError
from detnas.records.benchmark import Benchmark


def read_benchmark(file: Path) -> Benchmark:
    """Read a file of ``--bench``.

    Raises:
        UserError: it is none.
    """
    try:
        return Benchmark.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        cause = error.strerror if isinstance(error, OSError) else f"{error.error_count()} errors"
        raise UserError(
            f"--bench {file}: it cannot be read as a benchmark ({cause})",
            "give what 'detnas bench FILE… -o json' printed",
        ) from error
