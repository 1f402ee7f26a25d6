"""``python -m tests.trainer.launching.pretended launch VERB URI``: a node whose job only pretends.

Launcher, agent, ranks and what they tell one another are the trainer's own; only rank 0's job is
replaced, so that nobody imports mmdet. It counts steps, writes each to the store, and stops as the
real one does: on request, with 75. A request for no training at all is answered with 44.
"""

import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from typing import Any

from detnas.exit_codes import ExitCode
from detnas.records.keys import attempt_folder
from detnas_trainer import cli
from detnas_trainer.jobs.folder import JobFolder, open_folder
from detnas_trainer.launching import agent, worker

_STEP_SECONDS = 0.05


def main() -> None:
    """Be a rank, if the agent has started this process, or else a node."""
    if "RANK" in os.environ:
        worker.run = pretend  # type: ignore[attr-defined]
        worker.main()
    agent._WORKER = "tests.trainer.launching.pretended"
    cli.main(sys.argv[1:])


def pretend(verb: str, uri: str) -> int:
    """Go on from the last step of any attempt, until asked to stop."""
    folder: JobFolder[Any] = open_folder(verb, uri)
    if not folder.request.training.epochs:
        return ExitCode.DATA_CHANGED
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    step = newest_step(folder.store, folder.key)
    attempt = folder.claim_attempt(step, lambda: datetime.now(UTC))
    key = f"{attempt_folder(folder.key, attempt.number)}/checkpoint.json"
    while not asked:
        time.sleep(_STEP_SECONDS)
        step += 1
        folder.store.put(key, json.dumps({"iteration": step}).encode())
    return 75


def newest_step(store: Any, job: str) -> int:
    """Steps that the checkpoints of a job hold."""
    keys = [key for key in store.list(f"{job}/attempts/") if key.endswith("/checkpoint.json")]
    records = [stored for key in keys if (stored := store.get(key))]
    return max((int(json.loads(stored.data)["iteration"]) for stored in records), default=0)


if __name__ == "__main__":
    main()
