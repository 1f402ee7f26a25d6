"""What a newly observed object means for its search: whether, and how soon, a pass is due."""

from enum import IntEnum

from detnas_operator.cluster.objects import JobView, Object, ObjectView
from detnas_operator.cluster.searches import SearchView


class News(IntEnum):
    """How an observed object differs from the one known before.

    Attributes:
        NONE: in nothing that is read; no pass is due.
        DETAIL: a pass may report it, but seldom starts or stops anything.
        DECISIVE: the search may have something to do.
    """

    NONE = 0
    DETAIL = 1
    DECISIVE = 2


def search_news(known: SearchView | None, latest: SearchView) -> News:
    """Compare two observations of a search; a status is usually the operator's own write."""
    if known is None or _apart_from_status(known) != _apart_from_status(latest):
        return News.DECISIVE
    return News.DETAIL


def job_news(known: JobView | None, latest: JobView) -> News:
    """Compare two observations of a Job, in slim form.

    Between its creation and its end only counters of pods change; conditions announce that it ends,
    and then the search's state may have to be read first. A Job that appears was created by a pass,
    which knows it; and what an ended one gets is its time to live.
    """
    if known is None or known.uid != latest.uid:
        return News.DECISIVE if latest.has_ended else News.DETAIL
    is_same = _apart_from_status(known) == _apart_from_status(latest)
    if is_same and known.status == latest.status:
        return News.NONE
    if known.has_ended and latest.has_ended:
        return News.DETAIL
    before, after = (view.status.get("conditions") for view in (known, latest))
    return News.DETAIL if is_same and before == after else News.DECISIVE


def _apart_from_status(view: ObjectView) -> Object:
    fields = view.body["metadata"].items()
    metadata = {name: value for name, value in fields if value and name != "resourceVersion"}
    return {"metadata": metadata, "spec": view.spec}
