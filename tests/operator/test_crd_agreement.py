"""Command line and API server agree on manifests that nobody thought of."""

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

from detnas.spec import ManifestError, read_manifest
from tests.cluster.api import ApiError, Document
from tests.cluster.control_plane import ControlPlane
from tests.detnas.spec.manifests import MINIMAL
from tests.detnas.spec.valid_manifests import EVERYTHING

SEARCHES = "apis/detnas.dev/v1alpha1/namespaces/default/detnassearches"
CHANGES = 500
GONE = object()
Path = tuple[str | int, ...]

TEXTS = [
    *("", "a", "A", "a.b", "-a", "a-", "a b", "a\nb", "é", "a/b", "../a", "/a", "true"),
    *("0", "1", "-1", "01", "1.5", "1.2345", "0.0001", "1e3", "0." + "0" * 12 + "1", "9" * 12),
    *("s3://b", "s3://bucket/", "s3://bucket/x", "s3://bucket/a/../b", "s3://B/x"),
    *("file:///", "file:///x", "file://x", "64x64", "064x64", "99999x99999", "Basic", "Joint"),
    *("1Gi", "1.5Gi", "0Gi", "Ki", "500m", "1000k", "x" * 64, "x" * 254, "x" * 1025),
    *("[(1,1)],[(1,1)],[(1,1)],[(1,1)]", "[(1,1,1)],[(1,1,1)],[(1,1,1)],[(1,1,1)]"),
]
NUMBERS = [0, 1, -1, 16, 17, 2**53, 1.5, True, False]
LISTS: list[list[Any]] = [
    *([], ["a"], ["1.0"], ["1.0", "1.5"], ["1.0", "1.25", "1.5", "2.0"], [None]),
    *([1, 2, 3, 4], [0, 1, 1, 1], [9, 9, 9, 9], [1, 1, 1, 1, 1], ["64x64"], ["64x64", "64x64"]),
    *([{"key": "a"}], [{"operator": "Exists"}], [{"epochs": 1, "learningRate": "1"}]),
    [{"epochs": 1, "learningRate": "1"}, {"epochs": 1, "learningRate": "1", "widths": ["1.0"]}],
]
SECTIONS = [{}, {"a": "b"}, {"a": 1}, {"min": [1, 1, 1, 1]}, {"max": [1, 1, 1, 1]}, {"key": "a"}]
VALUES = [*TEXTS, *NUMBERS, *LISTS, *SECTIONS, None, GONE]


def places(value: Any, path: Path = ("spec",)) -> Iterator[Path]:
    """Paths of every field and item."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def replaced(manifest: Document, path: Path, value: object) -> Document:
    changed = copy.deepcopy(manifest)
    target: Any = changed
    for part in path[:-1]:
        target = target[part]
    if value is GONE:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return changed


def command_line_takes(manifest: Document) -> bool:
    try:
        read_manifest(manifest, "test")
    except ManifestError:
        return False
    return True


def api_server_takes(cluster: ControlPlane, manifest: Document) -> bool:
    try:
        cluster.api.request("POST", SEARCHES, manifest, dryRun="All", fieldValidation="Strict")
    except ApiError as error:
        if error.status not in (400, 422):
            raise
        return False
    return True


def test_definition_and_command_line_agree_on_any_change(cluster: ControlPlane) -> None:
    random = Random(0)
    fields = [(one, path) for one in (EVERYTHING, MINIMAL) for path in places(one["spec"])]
    verdicts = []
    for _ in range(CHANGES):
        manifest, path = random.choice(fields)
        value = random.choice(VALUES)
        changed = replaced(manifest, path, value)
        verdicts.append(command_line_takes(changed))
        assert verdicts[-1] == api_server_takes(cluster, changed), (path, value)
    assert 0.05 < sum(verdicts) / CHANGES < 0.9
