"""What `detnas estimate` says of a search, beside what the search then took."""

import json

import pytest

from tests.e2e.commands import read_json
from tests.e2e.search_folder import SearchFolder

pytestmark = pytest.mark.slow

RECORDED, TIMED = 1.6, 4.0
"""Factors. The tests share the machine with others, and the search takes seconds: much of that is
what its jobs take around their images. docs/estimate.md has the figures of a machine that is idle.
"""


def taken(search: SearchFolder) -> float:
    """Seconds of base, pool and trials, one after the other."""
    pool = (search.store / "local" / "pools").glob("*/phase-*/result.json")
    results = [json.loads(path.read_text()) for path in pool]
    results += [search.record("base/result.json"), *search.results().values()]
    return float(sum(sum(result["seconds"].values()) for result in results))


def estimated(search: SearchFolder, *words: str) -> tuple[float, dict[str, float]]:
    """The same as estimated, and the range of bytes in the store."""
    found = read_json("estimate", search.manifest, *words)
    named = ("base", "pool", "trials")
    parts = [part for part in found["time"]["parts"] if part["name"].startswith(named)]
    seconds = sum(part["secondsEach"]["expected"] * part["jobs"] for part in parts)
    return seconds, found["storage"]["kept"]


@pytest.mark.parametrize("source", ["records", "a timed step"])
def test_estimate_is_near_what_the_search_took(digits: SearchFolder, source: str) -> None:
    words, factor = (["--from", str(digits.path)], RECORDED) if source == "records" else ([], TIMED)
    seconds, kept = estimated(digits, *words)
    took = taken(digits)
    assert took / factor < seconds < took * factor
    stored = sum(path.stat().st_size for path in digits.store.rglob("*") if path.is_file())
    assert kept["low"] < stored < kept["high"]
