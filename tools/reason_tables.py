"""Writes the tables of reasons in docs/operator.md from the list of them in the code."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from detnas.reasons import Category, ReasonCode

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operator.md"

_FIXED = """In the tables below **in a new search** refers to fields that are fixed once the search
exists, as most of `spec` is: delete the search and apply it again, corrected; or give the corrected
one another name and [`spec.warmStart.from`](#change-a-search), and it begins with the trials of the
old one. Trained teachers are found again either way. All else is fixed outside of the search, or in
a field that [may change](#change-a-search).

"""
_SECTIONS = {
    Category.HEALTHY: "**All is well, or in progress**",
    Category.SELF_RESOLVING: "**It waits; nobody has to do anything**",
    Category.NOT_ACCEPTED: _FIXED
    + "**Not accepted**: `Accepted` is False, nothing is started, and what ran is stopped",
    Category.INPUTS: "**Supplied inputs do not fit**: the search continues once that is fixed",
    Category.JOB: "**A Job does not start or progress**: it continues once the cause is gone",
    Category.STOPPED: "**It is stopped, or cannot continue**",
}


def with_tables(page: str) -> str:
    """The page with its tables of reasons, and of the reasons of events, as they should be."""
    reasons = "\n\n".join(f"{title}\n\n{_table(one)}" for one, title in _SECTIONS.items())
    filled = _between(page, "reasons", reasons)
    return _between(filled, "events", _table(Category.EVENT))


def _between(page: str, name: str, text: str) -> str:
    before, begin, rest = page.partition(f"<!-- {name}:begin -->\n")
    _, end, after = rest.partition(f"<!-- {name}:end -->")
    assert end, f"docs/operator.md lacks the markers {name}"
    return f"{before}{begin}{text}\n{end}{after}"


def _table(category: Category) -> str:
    columns = {
        Category.HEALTHY: ("condition", "meaning"),
        Category.SELF_RESOLVING: ("meaning",),
        Category.EVENT: ("meaning",),
    }.get(category, ("meaning", "what to do"))
    head = ("reason", *columns)
    lines = [_row(head), _row(("---",) * len(head))]
    described = documentation()
    for code in (one for one in ReasonCode if one.category is category):
        meaning, remedy = described[code]
        cells = {"condition": ", ".join(code.conditions), "meaning": meaning, "what to do": remedy}
        assert bool(remedy) is ("what to do" in columns), code
        lines.append(_row((f"`{code}`", *(cells[column] for column in columns))))
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def documentation() -> dict[ReasonCode, tuple[str, str]]:
    """Meaning and remedy of each reason, in Markdown: the text below it in the code."""
    return dict(_documented())


def _documented() -> Iterator[tuple[ReasonCode, tuple[str, str]]]:
    (members,) = ast.parse(inspect.getsource(ReasonCode)).body
    assert isinstance(members, ast.ClassDef)
    for member, text in zip(members.body[1:], members.body[2:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr):
            meaning, _, remedy = str(ast.literal_eval(text.value)).partition("Do: ")
            name = ast.unparse(member.targets[0])
            yield ReasonCode[name], (" ".join(meaning.split()), " ".join(remedy.split()))


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
