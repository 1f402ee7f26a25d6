"""One JSON object a line, each with the search, trial and job it is about."""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

_NOTHING: Mapping[str, str | int] = MappingProxyType({})
_about: ContextVar[Mapping[str, str | int]] = ContextVar("about", default=_NOTHING)

_MAX_CHARACTERS = 16_000
"""Characters of a message or an error: what a store holds may be quoted in it."""
_UNPRINTABLE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_QUIET = {
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
    "boto3": logging.WARNING,
    "botocore": logging.WARNING,
    "kubernetes": logging.WARNING,
    "s3transfer": logging.WARNING,
    "urllib3": logging.ERROR,
}
"""Least severity of chatty libraries, unless the level is DEBUG."""


@contextmanager
def about(**fields: str | int | None) -> Iterator[None]:
    """Give every line logged in the block these fields: search, namespace, trial, job.

    Nests; None leaves a field as it is. Holds in the thread or task that entered it.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    token = _about.set({**_about.get(), **given})
    try:
        yield
    finally:
        _about.reset(token)


def configure_logs(level: str) -> None:
    """Log to standard error as JSON lines from ``level`` on, and quieten chatty libraries."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else least)
    logging.captureWarnings(capture=True)


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object: time, level, message, what it is about, the error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, str | int] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "message": record.getMessage()[:_MAX_CHARACTERS],
            **_about.get(),
            "logger": record.name,
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)[-_MAX_CHARACTERS:]
        return _escaped(json.dumps(line, ensure_ascii=False, default=str))


def _escaped(line: str) -> str:
    """Escape characters that end a line or control a terminal, which JSON leaves as they are."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", line)
