"""Writes the page, or the numbers: to a file, or beside the search in its store."""

from pathlib import Path

from detnas.errors import UserError
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.report.data import gather
from detnas.report.numbers import search_numbers
from detnas.store import Store
from detnas.store.durable_files import replace_file
from detnas.store.errors import os_errors

_SUFFIXES = (".html", ".htm")
_NUMBERS = ".json"


def render_report(store: Store, requests: SearchRequests) -> str:
    """Return the page of a search in any phase.

    Raises:
        UserError: the packages that draw are not installed, or a record cannot be read.
    """
    try:
        from detnas.report.page import render
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("plotly", "jinja2"):
            raise
        raise UserError(
            f"the report needs the package {error.name}, which is not installed",
            "install the extra: pip install 'detnas[report]'",
        ) from error
    return render(gather(store, requests))


def write_report(store: Store, requests: SearchRequests, path: Path) -> Path:
    """Write the page, or its numbers, to a local file in place of an earlier one; return its path.

    Args:
        store: that contains the search.
        requests: of the search.
        path: of the file; it ends in ``.html``, or in ``.json`` for the numbers.

    Raises:
        UserError: the page cannot be created, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (*_SUFFIXES, _NUMBERS):
        raise UserError(f"report: {path} does not end in .html or .json", f"write {path.stem}.html")
    page = (_numbers if suffix == _NUMBERS else render_report)(store, requests)
    with os_errors(path):
        replace_file(path, page.encode())
    return path


def _numbers(store: Store, requests: SearchRequests) -> str:
    numbers = search_numbers(gather(store, requests))
    return numbers.model_dump_json(by_alias=True, indent=1) + "\n"


def publish_report(store: Store, requests: SearchRequests) -> str:
    """Write the page beside the search, in place of an earlier one, and return its URI.

    Raises:
        UserError: the page cannot be created, or the store cannot be written.
    """
    key = keys.report_key(requests.search)
    store.put(key, render_report(store, requests).encode())
    return f"{store.uri}/{key}"
