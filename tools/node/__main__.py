"""`python -m tools.node up` and `down`: a node to try things on by hand, as root."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.kubernetes import obtain
from tools.node.daemons import Layout
from tools.node.images import ImageBuilder, save
from tools.node.missing import check
from tools.node.network import run
from tools.node.node import BINARIES, start_node, stop_node
from tools.process import StepFailed, say


def main() -> int:
    """Run one of the two commands."""
    layout = Layout()
    try:
        if sys.argv[1:] == ["up"]:
            _up(layout)
        elif sys.argv[1:] == ["down"]:
            stop_node(layout)
        else:
            say("python -m tools.node up | down")
            return 2
    except StepFailed as failure:
        say(str(failure))
        return failure.status
    return 0


def _up(layout: Layout) -> None:
    check(layout, base_from_packages=True, gigabytes=2)
    binaries = obtain(BINARIES)
    images = ImageBuilder(Path.cwd(), layout.folder.with_name("images"))
    pause = images.pause(images.base())
    plane = start_node(layout, binaries, save([pause]))
    say(run(plane.kubectl("get", "nodes", "-o", "wide")))
    say(f"continue with: {' '.join(plane.kubectl('get', 'pods', '-A'))}")


if __name__ == "__main__":
    sys.exit(main())
