"""`python3 -m tools.release`: what the release workflow asks for, each answer on standard output.

Needs Python 3.11 or newer, and nothing else.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.process import StepFailed, say
from tools.release.chart import Released, stamp
from tools.release.version import check_project, read_tag

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._/-]+)?")
DIGEST = re.compile(r"[0-9a-f]{64}")
IMAGES = ("operator", "trainer")


def main(arguments: Sequence[str]) -> int:
    """Answer one question; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        for line in _ANSWERS[options.question](options):
            say(line)
    except StepFailed as failure:
        print(failure, file=sys.stderr)
        return failure.status
    return 0


def registry_of(registry: str) -> str:
    """Where everything of a release is pushed to, as image references spell it.

    Raises:
        StepFailed: it is no such place.
    """
    place = registry.lower().strip("/")
    if not REGISTRY.fullmatch(place):
        raise StepFailed(
            f"✗ {registry!r} is no registry to push to: set the repository variable REGISTRY, such "
            "as registry.example.com/team"
        )
    return place


def repository_of(registry: str, image: str) -> str:
    """Where an image of a release is stored."""
    return f"{registry_of(registry)}/detnas-{image}"


def _version(options: argparse.Namespace) -> list[str]:
    version = read_tag(options.tag)
    check_project(version, ROOT)
    return [version.text]


def _registry(options: argparse.Namespace) -> list[str]:
    return [registry_of(options.registry)]


def _index(options: argparse.Namespace) -> list[str]:
    """Arguments of `docker buildx imagetools create`: one index of the images of all platforms."""
    repository = repository_of(options.registry, options.image)
    digests = sorted(file.name for file in options.digests.iterdir())
    if len(digests) != options.platforms or not all(map(DIGEST.fullmatch, digests)):
        raise StepFailed(
            f"✗ {options.digests} holds {digests or 'nothing'}: one file for each of "
            f"{options.platforms} platforms is wanted, named as its digest without sha256:"
        )
    tags = [f"--tag={repository}:{tag}" for tag in read_tag(options.tag).image_tags()]
    return [*tags, *(f"{repository}@sha256:{digest}" for digest in digests)]


def _chart(options: argparse.Namespace) -> list[str]:
    names = {image: repository_of(options.registry, image) for image in IMAGES}
    released = Released(version=read_tag(options.tag), home=options.home, **names)
    return [str(stamp(ROOT / "charts" / "detnas", options.target, released))]


_ANSWERS = {"version": _version, "registry": _registry, "index": _index, "chart": _chart}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tools.release", description=__doc__)
    questions = parser.add_subparsers(dest="question", required=True)
    version = questions.add_parser("version", help="the version; refused if the sources differ")
    registry = questions.add_parser("registry", help="the registry, checked")
    index = questions.add_parser("index", help="arguments that join the images of all platforms")
    index.add_argument("image", choices=IMAGES)
    index.add_argument("--digests", required=True, type=Path, help="folder with a file for each")
    index.add_argument("--platforms", required=True, type=int, help="how many there must be")
    chart = questions.add_parser("chart", help="a stamped copy of the chart; its folder")
    chart.add_argument("--home", required=True, help="address of the sources")
    chart.add_argument("--target", required=True, type=Path, help="folder for the copy")
    for question in (version, index, chart):
        question.add_argument("--tag", required=True, help="of git, such as v1.2.3")
    for question in (registry, index, chart):
        question.add_argument("--registry", required=True, help="where images are pushed to")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
