"""The latest observed searches and Jobs, in reduced form, never replaced by an older version."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from detnas_operator.cluster import Snapshot
from detnas_operator.cluster.child_jobs import ChildJobs
from detnas_operator.cluster.jobsets import jobset_of
from detnas_operator.cluster.labels import SETTLED
from detnas_operator.cluster.news import News, job_news, search_news
from detnas_operator.cluster.objects import JobView, Object, ObjectView
from detnas_operator.cluster.searches import SearchKey, SearchView, owning_search
from detnas_operator.cluster.slimming import slim_job, slim_search

_REMEMBERED_DELETIONS = 20_000

AnyView = TypeVar("AnyView", bound=ObjectView)

_Jobs = dict[tuple[SearchKey, str], dict[str, JobView]]
"""By name, for each search and the UID of its resource."""


class ClusterCache:
    """The latest search objects and Jobs, from watch events and from answers to own writes.

    Thread-safe. Objects go in as the API writes them; views of slim ones come out, which are
    shared: do not change them. An object is never replaced by an older ``resourceVersion``, and a
    deleted one (by UID) never returns, in whatever order events and answers arrive.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._searches: dict[SearchKey, SearchView] = {}
        self._jobs: _Jobs = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._failed: _Jobs = {}
        self._children = ChildJobs()
        self._unusable_jobsets: dict[str | None, str] = {}

    def search(self, key: SearchKey) -> SearchView | None:
        """Return the search as last seen: metadata (without managedFields), spec, status."""
        with self._lock:
            return self._searches.get(key)

    def search_keys(self) -> list[SearchKey]:
        """Return the keys of all searches."""
        with self._lock:
            return sorted(self._searches)

    def jobs(self, key: SearchKey, uid: str) -> dict[str, JobView]:
        """Return the Jobs that the search with this UID owns, by name; labels are not trusted.

        Each has the fields that `slim_job` retains; JobSets are among them, as if they were Jobs. A
        Job that failed and was then deleted by others, such as by its time to live, is included, as
        if it were still being deleted, until `drop_job`.
        """
        with self._lock:
            owned = {**self._failed.get((key, uid), {}), **self._jobs.get((key, uid), {})}
            jobs = {name: self._children.completed(job) for name, job in owned.items()}
        return dict(sorted(jobs.items()))

    def search_of(self, job: JobView) -> SearchKey | None:
        """Return which search a Job, a JobSet or the Job of a JobSet belongs to; None if none."""
        with self._lock:
            return owning_search(job) or self._children.search_of(job)

    def put_search(self, body: Object) -> News:
        """Store a search as observed; return what is new of it, if it is newer."""
        search = SearchView(slim_search(body))
        key = search.key
        with self._lock:
            known = self._searches.get(key)
            if not self._is_newer(known, search):
                return News.NONE
            self._searches[key] = search
        return search_news(known, search)

    def drop_search(self, body: Object) -> None:
        """Remove a deleted search; its Jobs are removed by their own events."""
        search = SearchView(body)
        key = search.key
        with self._lock:
            self._remember_deletion(search.uid)
            known = self._searches.get(key)
            if known is not None and known.uid == search.uid:
                del self._searches[key]
                self._failed.pop((key, search.uid), None)

    def put_job(self, body: Object) -> News:
        """Store a Job as observed; return what is new of it, if it is newer."""
        job = JobView(slim_job(body))
        owner = _owner(job)
        if owner is None:
            return self._put_child(job)
        with self._lock:
            known = self._jobs.get(owner, {}).get(job.name)
            if not self._is_newer(known, job):
                return News.NONE
            self._jobs.setdefault(owner, {})[job.name] = job
            if job.plural == "jobsets":
                self._children.note_jobset(job, owner[0])
        return job_news(known, job)

    def _put_child(self, job: JobView) -> News:
        if not jobset_of(job):
            return News.NONE
        with self._lock:
            known = self._children.get(job)
            if not self._is_newer(known, job):
                return News.NONE
            self._children.put(job)
        return job_news(known, job)

    def drop_deleted_job(self, body: Object) -> None:
        """Remove a Job that others deleted (its body as last seen).

        A failed one is retained, apart from the others, for as long as its search exists.
        """
        job = JobView(slim_job(body))
        owner = _owner(job)
        if owner is None:
            self._drop_child(job)
            return
        key, uid = owner
        with self._lock:
            is_news = job.uid not in self._deleted
            job = self._children.completed(job)
            self._drop_owned(owner, job)
            search = self._searches.get(key)
            if search is None or search.uid != uid:
                return
            if is_news and job.true_condition("Failed") and SETTLED not in job.annotations:
                self._failed.setdefault(owner, {})[job.name] = _being_deleted(job)

    def is_retained(self, job: JobView) -> bool:
        """Whether a Job is deleted, and retained only for how it failed."""
        owner = _owner(job)
        with self._lock:
            known = self._failed.get(owner, {}).get(job.name) if owner else None
        return known is not None and known.uid == job.uid

    def drop_job(self, body: Object) -> None:
        """Remove a deleted Job (its body as last seen; metadata is enough)."""
        job = JobView(body)
        owner = _owner(job)
        if owner is None:
            return
        with self._lock:
            self._drop_owned(owner, job)

    def _drop_owned(self, owner: tuple[SearchKey, str], job: JobView) -> None:
        self._remember_deletion(job.uid)
        self._children.forget_jobset(job)
        for jobs in (self._failed, self._jobs):
            _remove(jobs, owner, job)

    def _drop_child(self, job: JobView) -> None:
        with self._lock:
            if jobset_of(job):
                self._remember_deletion(job.uid)
                self._children.drop(job)

    def replace_jobs(self, key: SearchKey, snapshot: Snapshot) -> None:
        """Update the Jobs of a search from a complete list of its namespace.

        Objects created since the snapshot are kept.
        """
        for body in snapshot.items:
            self.put_job(body)
        with self._lock:
            owned = [
                job for (of, _), jobs in self._jobs.items() if of == key for job in jobs.values()
            ]
        for job in _absent(owned, snapshot):
            self.drop_deleted_job(job.body)

    def replace_all(
        self, namespace: str | None, searches: Snapshot, jobs: Snapshot
    ) -> set[SearchKey]:
        """Update a namespace (None: all) from complete lists; return the keys that changed.

        Objects created since the snapshots are kept.
        """
        changed = {SearchView(body).key for body in searches.items if self.put_search(body)}
        put = [JobView(body) for body in jobs.items if self.put_job(body)]
        with self._lock:
            known_searches = _within(namespace, self._searches.values())
            known_jobs = _within(
                namespace, (job for owned in self._jobs.values() for job in owned.values())
            )
            children = self._children.within(namespace)
        for search in _absent(known_searches, searches):
            self.drop_search(search.body)
            changed.add(search.key)
        lost = _absent(known_jobs, jobs)
        for job in lost:
            self.drop_deleted_job(job.body)
        for child in _absent(children, jobs):
            self._drop_child(child)
        return changed | {key for job in (*put, *lost) if (key := self.search_of(job))}

    def note_jobsets(self, scope: str | None, problem: str) -> None:
        """Note why JobSets of a namespace (None: all) are not observed; empty if they are."""
        with self._lock:
            self._unusable_jobsets[scope] = problem

    def note_jobsets_gone(self, namespace: str, problem: str) -> None:
        """Note that JobSets are no longer served, until a list shows that they are."""
        with self._lock:
            scope = None if None in self._unusable_jobsets else namespace
            self._unusable_jobsets[scope] = problem

    def jobsets_problem(self, namespace: str | None) -> str:
        """Return why JobSets of a namespace (None: all) cannot be used; empty if they can."""
        with self._lock:
            unlisted = "they have not been listed yet"
            everywhere = self._unusable_jobsets.get(None, unlisted)
            return self._unusable_jobsets.get(namespace, everywhere)

    def _is_newer(self, known: ObjectView | None, latest: ObjectView) -> bool:
        if latest.uid in self._deleted:
            return False
        return known is None or latest.version > known.version

    def _remember_deletion(self, uid: str) -> None:
        self._deleted[uid] = None
        while len(self._deleted) > _REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)


def _absent(known: Iterable[AnyView], snapshot: Snapshot) -> list[AnyView]:
    """Return the known objects that no longer existed when the snapshot was taken."""
    present = {ObjectView(body).uid for body in snapshot.items}
    moment = int(snapshot.resource_version or 0)
    return [view for view in known if view.uid not in present and view.version <= moment]


def _owner(job: JobView) -> tuple[SearchKey, str] | None:
    key = owning_search(job)
    return None if key is None else (key, job.controller_uid)


def _being_deleted(job: JobView) -> JobView:
    deletion = {"deletionTimestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    return JobView({**job.body, "metadata": {**deletion, **job.body["metadata"]}})


def _remove(jobs: _Jobs, owner: tuple[SearchKey, str], job: JobView) -> None:
    """Remove the Job with this UID, and the search's entry if no other is left."""
    owned = jobs.get(owner, {})
    if job.name in owned and owned[job.name].uid == job.uid:
        del owned[job.name]
    if not owned:
        jobs.pop(owner, None)


def _within(namespace: str | None, views: Iterable[AnyView]) -> list[AnyView]:
    return [view for view in views if namespace in (None, view.namespace)]
