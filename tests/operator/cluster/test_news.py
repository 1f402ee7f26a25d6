"""Which changes of a search and its Jobs lead to a pass, and how soon."""

from typing import Any

import pytest

from detnas_operator.cluster.news import News, job_news, search_news
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.searches import SearchView
from detnas_operator.cluster.slimming import slim_job, slim_search

ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}
ENDING = {"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}]}


def job(status: dict[str, Any] | None = None, uid: str = "u1", **fields: Any) -> JobView:
    spec = {name: value for name, value in fields.items() if name == "ttlSecondsAfterFinished"}
    metadata = {name: value for name, value in fields.items() if name not in spec}
    metadata = {"namespace": "team", "name": "r18-t0001", "uid": uid, **metadata}
    return JobView(slim_job({"metadata": metadata, "spec": spec, "status": status or {}}))


def search(resource_version: str = "1", **parts: Any) -> SearchView:
    metadata = {"namespace": "team", "name": "r18", "uid": "s1", "generation": 1}
    metadata |= {"resourceVersion": resource_version, **parts.pop("metadata", {})}
    return SearchView(slim_search({"metadata": metadata, "spec": {}, "status": {}, **parts}))


@pytest.mark.parametrize(
    ("known", "latest", "news"),
    [
        (None, job(), News.DETAIL),
        (None, job(ENDED), News.DECISIVE),
        (job(ENDED), job(uid="u2"), News.DETAIL),
        (job(), job({"active": 1}), News.DETAIL),
        (job({"active": 1}), job({"active": 1, "ready": 1}), News.DETAIL),
        (job({"active": 1}), job({"active": 1, **ENDING}), News.DECISIVE),
        (job({"active": 1}), job(ENDED), News.DECISIVE),
        (job(ENDED), job(ENDED, ttlSecondsAfterFinished=60), News.DETAIL),
        (job(), job(ttlSecondsAfterFinished=0), News.DECISIVE),
        (job(), job(deletionTimestamp="2026-01-01T00:00:00Z"), News.DECISIVE),
        (job(), job(labels={"detnas.dev/search": "other"}), News.DECISIVE),
        (job(resourceVersion="1"), job(resourceVersion="2"), News.NONE),
        (job(), job({"uncountedTerminatedPods": {"succeeded": ["p"]}}), News.NONE),
        (job(), job(annotations={"team.example/note": "new"}), News.NONE),
    ],
)
def test_job_news_are_decisive_where_the_search_may_go_on(
    known: JobView | None, latest: JobView, news: News
) -> None:
    assert job_news(known, latest) is news


@pytest.mark.parametrize(
    ("known", "latest", "news"),
    [
        (None, search(), News.DECISIVE),
        (search(), search("2", metadata={"generation": 2}), News.DECISIVE),
        (search(), search("2", spec={"suspend": True}), News.DECISIVE),
        (search(), search("2", metadata={"finalizers": ["x"]}), News.DECISIVE),
        (search(), search("2", status={"phase": "Searching"}), News.DETAIL),
        (search(), search("2"), News.DETAIL),
    ],
)
def test_search_news_are_decisive_unless_only_its_status_was_written(
    known: SearchView | None, latest: SearchView, news: News
) -> None:
    assert search_news(known, latest) is news
