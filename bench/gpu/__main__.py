"""The figures that need a GPU, on one card in less than eight minutes.

    python -m bench.gpu pack --to FOLDER          # what a machine that has only torch lacks
    python3 -m bench.gpu run --packages FOLDER    # there; no network, nothing to install
    python -m bench.gpu run --device cpu --thin   # every part in small, without a GPU

Each figure is a line of JSON as soon as it is known; a table of all follows. Parts are processes of
their own, each with a time limit: one that fails does not stop the others. The exit code is 1 if a
part failed.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    options = _arguments()
    if options.command == "pack":
        from bench.gpu.packing import pack

        archive = pack(options.to, options.python)
        print(f"{archive}: {archive.stat().st_size / 2**20:.1f} MiB")
        return
    _set_up(options.device, options.packages)
    from bench.gpu.running import run_parts

    sys.exit(run_parts(options.device, options.thin, options.out, options.only))


def _set_up(device: str, packages: Path | None) -> None:
    """Prepare this process before anything else is imported."""
    paths = [str(ROOT), str(ROOT / "trainer")]
    if packages is not None:
        from bench.gpu.packing import unpack

        paths.insert(0, str(unpack(packages, Path(tempfile.mkdtemp(prefix="bench-gpu-")))))
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])
    # As detnas_trainer.warm does: the parts are forked, after which CUDA must not be in use yet.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    pack = commands.add_parser("pack", help="write an archive of the packages that are needed")
    pack.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    pack.add_argument("--python", default="3.12", help="Python version of the other machine")
    run = commands.add_parser("run", help="measure")
    run.add_argument("--packages", type=Path, metavar="FOLDER", help="with the archive")
    run.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    run.add_argument("--thin", action="store_true", help="thin detectors, few steps")
    run.add_argument("--out", type=Path, metavar="FOLDER", help="where to keep the figures")
    run.add_argument("--only", nargs="+", metavar="PART", help="these parts alone")
    return parser.parse_args()


if __name__ == "__main__":
    main()
