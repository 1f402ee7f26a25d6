"""Makes changes in the cluster, and finds the passes that saw them."""

import json
import urllib.error
import urllib.request
from functools import partial
from typing import Any

from detnas_operator.cluster.cache import SearchKey
from tests.cluster.api import SEARCHES, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.jobs import job
from tests.cluster.waiting import eventually
from tests.operator.frame.conftest import Pass, Running


def owned_job(name: str, owner: Document) -> Document:
    search = owner["metadata"]["name"]
    labels = {"app.kubernetes.io/managed-by": "detnas", "detnas.dev/search": search}
    return job(name, labels, owner)


def suspend(cluster: ControlPlane, key: SearchKey, value: bool = True) -> str:
    """Change a search and return its new version."""
    patch = {"spec": {"suspend": value}}
    answer = cluster.api.patch(SEARCHES, key.namespace, key.name, patch)
    return answer["metadata"]["resourceVersion"]


def passes_of(running: Running, key: SearchKey, version: str) -> list[Pass]:
    """The passes that saw this very version of a search."""
    return [one for one in running.notes.of(key) if one.version == version]


def see_by_watch(cluster: ControlPlane, running: Running, key: SearchKey) -> None:
    """Wait until a change is seen that no list can have shown."""
    eventually(lambda: running.notes.of(key))
    for value in (True, False):
        version = suspend(cluster, key, value)
        eventually(partial(passes_of, running, key, version))


def health(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None
    except OSError:
        return 0, None
