"""Which search `detnas run` opens for a manifest."""

from pathlib import Path

import pytest

from detnas.runner.opening import begin
from tests.detnas.searches.local_run import LocalSearch

RANK = {"layerNorm": "Sum"}


def test_open_search_continues_one_that_an_earlier_version_began_with_its_default(
    tmp_path: Path,
) -> None:
    search = LocalSearch(tmp_path)
    search.write(actions=RANK)
    begun = search.open()
    begin(begun)
    search.write()
    opened = search.open()
    assert opened.uid == begun.uid
    assert opened.requests.manifest.spec.search.actions.layer_norm == "Sum"
    assert "layerNorm: Sum" in opened.notice


@pytest.mark.parametrize("actions", [{"layerNorm": "WithinStage"}, {}])
def test_open_search_begins_anew_where_none_began_with_the_earlier_default(
    tmp_path: Path, actions: dict[str, str]
) -> None:
    search = LocalSearch(tmp_path)
    if actions:
        search.write(actions=RANK)
        begin(search.open())
    search.write(actions=actions)
    opened = search.open()
    assert opened.requests.manifest.spec.search.actions.layer_norm == "WithinStage"
    assert not opened.notice
