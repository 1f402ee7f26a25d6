"""Reads a page as a browser would: what is shown, and what it would ask the network for."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_VOID = {"meta", "link", "br", "img", "input", "hr"}
_REFERENCES = {"src", "href", "srcset", "data", "action", "poster", "background"}


@dataclass
class Row:
    """A table's row: the text of its cells, and its anchor."""

    anchor: str
    cells: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """A page, read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.rows: dict[str, Row] = {}
        self.figures: dict[str, Any] = {}
        self.shown: list[str] = []
        self.policy = ""
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self._row: Row | None = None
        self.feed(text)
        self.close()

    @property
    def text(self) -> str:
        """What a reader sees."""
        return " ".join(" ".join(self.shown).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append(tag)
        self.references += [v or "" for name, v in attrs if name in _REFERENCES]
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"] or ""
        if tag == "tr" and (attributes.get("id") or "").startswith("trial-"):
            self._row = self.rows[attributes["id"] or ""] = Row(attributes["id"] or "")
        if tag == "td" and self._row is not None:
            self._row.cells.append("")
        if tag not in _VOID:
            self._open.append((tag, attributes))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> without its beginning"
        opened, _ = self._open.pop()
        assert opened == tag, f"</{tag}> ends <{opened}>"
        if tag == "tr":
            self._row = None

    def handle_data(self, data: str) -> None:
        tag, attributes = self._open[-1] if self._open else ("", {})
        if tag == "script" and attributes.get("type") == "application/json":
            self.figures[attributes["id"] or ""] = json.loads(data)
        elif tag not in ("script", "style"):
            self.shown.append(data)
            if self._row is not None and self._row.cells:
                self._row.cells[-1] += data
