"""What is installed beside the tests: what it depends on, and as wheels to install from."""

import base64
import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

NOT_OF_A_WHEEL = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}


def dependencies(requirements: Iterable[str]) -> Iterator[Distribution]:
    """What pip would install for requirements, from this environment; each once.

    Raises:
        AssertionError: this environment has another version than is required.
    """
    seen: set[tuple[str, str]] = set()
    left = [(Requirement(line), "") for line in requirements]
    while left:
        wanted, extra = left.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        found = distribution(wanted.name)
        assert wanted.specifier.contains(found.version, prereleases=True), str(wanted)
        if not any(name == found.name for name, _ in seen):
            yield found
        for each in {"", *wanted.extras}:
            if (found.name, each) not in seen:
                seen.add((found.name, each))
                left += [(Requirement(line), each) for line in found.requires or ()]


def wheel(found: Distribution, folder: Path) -> Path:
    """Write a distribution as the wheel that it was installed from, programs left out.

    pip creates those from the entry points.
    """
    file = folder / f"{found.name.replace('-', '_')}-{found.version}-{tags(found)}.whl"
    record = []
    with zipfile.ZipFile(file, "w") as archive:
        for part in found.files or ():
            if part.parts[0] in {"..", "__pycache__"} or part.suffix == ".pyc":
                continue
            if ".dist-info" in part.parts[0]:
                record_name = f"{part.parts[0]}/RECORD"
                if part.name in NOT_OF_A_WHEEL:
                    continue
            data = Path(str(found.locate_file(part))).read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            archive.writestr(part.as_posix(), data)
            record.append(f"{part.as_posix()},sha256={digest},{len(data)}\n")
        archive.writestr(record_name, "".join([*record, f"{record_name},,\n"]))
    return file


def tags(found: Distribution) -> str:
    """A wheel's tags, as its file is named: cp311-cp311-manylinux2014_x86_64."""
    lines = (found.read_text("WHEEL") or "").splitlines()
    named = [line.removeprefix("Tag: ").split("-") for line in lines if line.startswith("Tag: ")]
    return "-".join(".".join(dict.fromkeys(parts)) for parts in zip(*named, strict=True))
