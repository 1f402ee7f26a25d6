"""Runs a search with the pretending trainer: ``python run_search.py FOLDER [PARALLELISM]``.

FOLDER holds ``search.yaml``; the store is ``FOLDER/store`` or what ``FOLDER/store.txt`` names.
"""

import sys
from pathlib import Path

from detnas.errors import UserError
from detnas.runner.errors import Interrupted
from detnas.runner.opening import Overrides, open_search
from detnas.runner.running_jobs import Limits
from detnas.runner.search_run import RunSettings, SearchRun
from detnas.runner.stopping import stop_on_signals
from tests.detnas.runner.quiet_watcher import QuietWatcher
from tests.detnas.runner.watched_writes import watch_writes

FAKE_TRAINER = (sys.executable, "-m", "tests.detnas.runner.fake_trainer")


def main() -> int:
    """Run, and end with the exit code that `detnas run` would have."""
    folder = Path(sys.argv[1])
    parallelism = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    watch_writes(folder)
    named = folder / "store.txt"
    store = named.read_text() if named.exists() else str(folder / "store")
    search = open_search(folder / "search.yaml", Overrides(store, parallelism=parallelism))
    settings = RunSettings(
        trainer=(*FAKE_TRAINER, str(folder)), limits=Limits(patience=20), tick=0.02, poll=0.1
    )
    try:
        with stop_on_signals() as stop:
            SearchRun(search, QuietWatcher(), stop, settings).run()
    except Interrupted:
        return 130
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
