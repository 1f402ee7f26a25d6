"""`detnas` with the pretending trainer: ``python -m … FOLDER WORDS…``, in the words of a user.

FOLDER is where the trainer finds what it is to do.
"""

import sys
from functools import partial

from detnas.cli import main
from detnas.runner.running_jobs import Limits
from detnas.runner.search_run import RunSettings, SearchRun
from tests.detnas.runner.run_search import FAKE_TRAINER

if __name__ == "__main__":
    folder, *words = sys.argv[1:]
    settings = RunSettings(
        trainer=(*FAKE_TRAINER, folder), limits=Limits(patience=20), tick=0.02, poll=0.1
    )
    module = sys.modules["detnas.cli.run"]
    module.SearchRun = partial(SearchRun, settings=settings)  # type: ignore[attr-defined]
    sys.argv = ["detnas", *words]
    main()
