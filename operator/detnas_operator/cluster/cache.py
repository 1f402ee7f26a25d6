"""The latest observed searches and Jobs, in reduced form, never replaced by an older version."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime

from detnas_operator.cluster import Snapshot
from detnas_operator.cluster.labels import SETTLED
from detnas_operator.cluster.objects import JobView, Object, ObjectView, SearchKey, owning_search
from detnas_operator.cluster.slimming import slim_job, slim_search

_REMEMBERED_DELETIONS = 20_000


_Jobs = dict[tuple[SearchKey, str], dict[str, Object]]
"""By name, for each search and the UID of its resource."""


class ClusterCache:
    """The latest search objects and Jobs, from watch events and from answers to own writes.

    Thread-safe. Complete objects go in and slim ones come out, which are shared: do not change
    them. An object is never replaced by an older ``resourceVersion``, and a deleted one (by UID)
    never returns, in whatever order events and answers arrive.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._searches: dict[SearchKey, Object] = {}
        self._jobs: _Jobs = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._failed: _Jobs = {}

    def search(self, key: SearchKey) -> Object | None:
        """Return the search as last seen: metadata (without managedFields), spec, status."""
        with self._lock:
            return self._searches.get(key)

    def searches(self) -> list[SearchKey]:
        """Return the keys of all searches."""
        with self._lock:
            return sorted(self._searches)

    def jobs(self, key: SearchKey, uid: str) -> dict[str, Object]:
        """Return the Jobs that the search with this UID owns, by name; labels are not trusted.

        Each has the fields that `slim_job` retains. A Job that failed and was then deleted by
        others, such as by its time to live, is included, as if it were still being deleted, until
        `drop_job`.
        """
        with self._lock:
            found = {**self._failed.get((key, uid), {}), **self._jobs.get((key, uid), {})}
        return dict(sorted(found.items()))

    def put_search(self, body: Object) -> bool:
        """Store a search as observed; return whether it is newer than the known one."""
        key, search = _key(body), slim_search(body)
        with self._lock:
            known = self._searches.get(key)
            if not self._is_news(known, search):
                return False
            self._searches[key] = search
            return True

    def drop_search(self, body: Object) -> None:
        """Remove a deleted search; its Jobs are removed by their own events."""
        key = _key(body)
        with self._lock:
            self._bury(body)
            known = self._searches.get(key)
            if known is not None and _same(known, body):
                del self._searches[key]
                self._failed.pop((key, ObjectView(body).uid), None)

    def put_job(self, body: Object) -> bool:
        """Store a Job as observed; return whether it is newer than the known one."""
        owner = _owner(body)
        if owner is None:
            return False
        job, name = slim_job(body), ObjectView(body).name
        with self._lock:
            known = self._jobs.get(owner, {}).get(name)
            if not self._is_news(known, job):
                return False
            self._jobs.setdefault(owner, {})[name] = job
            return True

    def lose_job(self, body: Object) -> None:
        """Remove a Job that others deleted (its body as last seen).

        A failed one is retained, apart from the others, for as long as its search exists.
        """
        owner, job = _owner(body), slim_job(body)
        if owner is None:
            return
        view, (key, uid) = JobView(job), owner
        with self._lock:
            is_news = view.uid not in self._deleted
        self.drop_job(body)
        if is_news and view.true_condition("Failed") and SETTLED not in view.annotations:
            job["metadata"].setdefault(
                "deletionTimestamp", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            )
            with self._lock:
                search = self._searches.get(key)
                if search is not None and ObjectView(search).uid == uid:
                    self._failed.setdefault(owner, {})[view.name] = job

    def is_lost(self, job: Object) -> bool:
        """Whether a Job is deleted, and retained only for how it failed."""
        owner = _owner(job)
        with self._lock:
            known = self._failed.get(owner, {}).get(ObjectView(job).name) if owner else None
        return known is not None and _same(known, job)

    def drop_job(self, body: Object) -> None:
        """Remove a deleted Job (its body as last seen; metadata is enough)."""
        owner = _owner(body)
        if owner is None:
            return
        with self._lock:
            self._bury(body)
            for jobs in (self._failed, self._jobs):
                _remove(jobs, owner, body)

    def replace_jobs(self, key: SearchKey, snapshot: Snapshot) -> None:
        """Update the Jobs of a search from a complete list of its namespace.

        Objects created since the snapshot are kept.
        """
        for job in snapshot.items:
            self.put_job(job)
        for job in self._absent(self._owned(key), snapshot):
            self.lose_job(job)

    def replace_all(
        self, namespace: str | None, searches: Snapshot, jobs: Snapshot
    ) -> set[SearchKey]:
        """Update a namespace (None: all) from complete lists; return the keys that changed.

        Objects created since the snapshots are kept.
        """
        news = {_key(body) for body in searches.items if self.put_search(body)}
        news |= {key for body in jobs.items if self.put_job(body) and (key := owning_search(body))}
        with self._lock:
            known_searches = list(self._searches.values())
            known_jobs = [job for some in self._jobs.values() for job in some.values()]
        for body in self._absent(_within(namespace, known_searches), searches):
            self.drop_search(body)
            news.add(_key(body))
        for body in self._absent(_within(namespace, known_jobs), jobs):
            self.lose_job(body)
            if key := owning_search(body):
                news.add(key)
        return news

    def _owned(self, key: SearchKey) -> list[Object]:
        with self._lock:
            jobs = [
                job for (of, _), some in self._jobs.items() if of == key for job in some.values()
            ]
        return sorted(jobs, key=lambda job: ObjectView(job).name)

    def _is_news(self, known: Object | None, body: Object) -> bool:
        if body["metadata"].get("uid") in self._deleted:
            return False
        return known is None or ObjectView(body).version > ObjectView(known).version

    def _bury(self, body: Object) -> None:
        self._deleted[body["metadata"].get("uid", "")] = None
        while len(self._deleted) > _REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)

    @staticmethod
    def _absent(known: Iterable[Object], snapshot: Snapshot) -> list[Object]:
        """Return the known objects that no longer existed when the snapshot was taken."""
        present = {body["metadata"].get("uid") for body in snapshot.items}
        moment = int(snapshot.resource_version or 0)
        return [
            body
            for body in known
            if body["metadata"].get("uid") not in present and ObjectView(body).version <= moment
        ]


def _key(body: Object) -> SearchKey:
    return SearchKey(ObjectView(body).namespace, ObjectView(body).name)


def _same(known: Object, body: Object) -> bool:
    return ObjectView(known).uid == ObjectView(body).uid


def _owner(job: Object) -> tuple[SearchKey, str] | None:
    key = owning_search(job)
    return None if key is None else (key, ObjectView(job).controller_uid)


def _remove(jobs: _Jobs, owner: tuple[SearchKey, str], body: Object) -> None:
    """Remove the Job with this UID, and the search's entry if no other is left."""
    name, own = ObjectView(body).name, jobs.get(owner, {})
    if name in own and _same(own[name], body):
        del own[name]
    if not own:
        jobs.pop(owner, None)


def _within(namespace: str | None, bodies: Iterable[Object]) -> list[Object]:
    return [body for body in bodies if namespace in (None, ObjectView(body).namespace)]
