"""Ports for servers of the tests that nobody else takes between our look and their use."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

FIRST, LAST = 15_000, 29_999
"""Below the ports that systems give by themselves, to clients or to who asks for any port."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; no other process of this user gets them here for long."""
    found: list[int] = []
    turn = Path(tempfile.gettempdir()) / f"detnas-test-ports-{os.getuid()}"
    with turn.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        port = int(file.read() or random.randint(FIRST, LAST))
        while len(found) < count:
            port = port + 1 if port < LAST else FIRST
            if _is_free(port):
                found.append(port)
        file.truncate(0)
        file.write(str(port))
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("", port))
        except OSError:
            return False
    return True
