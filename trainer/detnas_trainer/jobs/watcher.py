"""Tells people how many files of the data set a job has dealt with."""

from datetime import UTC, datetime
from typing import Any

from detnas.records.progress import Progress
from detnas_trainer.jobs.job import Job


class Watcher:
    """Reports the progress of a loop over files; ends it if the job is asked to stop.

    Args:
        job: whose files.
        activity: what is done with them, such as ``fetching data``.
    """

    def __init__(self, job: Job[Any], activity: str) -> None:
        self._job = job
        self._activity = activity
        self._start = job.clock()

    def told(self, done: int, total: int) -> None:
        """Report how many of the files are done.

        Raises:
            Interrupted: the process was asked to stop.
        """
        job = self._job
        job.interruption.check()
        now = datetime.now(UTC)
        progress = Progress(activity=self._activity, done=done, total=total, updated=now)
        seconds = job.clock() - self._start
        details = {"files_per_second": round(done / seconds)} if done and seconds else {}
        job.report(progress, **details)
