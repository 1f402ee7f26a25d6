"""The text form of Appendix B: ``[(64, 64)-(64, 64)], [(128, 128)], …``, parsed and printed."""

import re
from collections.abc import Iterator, Sequence

from detnas.architecture.blocks import FAMILIES, Family
from detnas.architecture.model import STAGES, Architecture, Block
from detnas.errors import UserError

_TOKEN = re.compile(r"\s*([0-9]+|[\[\](),\-])")
_DEFAULT_FAMILY = {FAMILIES[f].arity: f for f in (Family.BASIC, Family.BOTTLENECK)}
_DIGITS = 20
_MOST_PROBLEMS = 4
GROUP_WIDTH = 4
"""Group width in stage 1 of the usual ResNeXts, 32x4d and 64x4d."""
WIDEST_GROUP = 8192
"""Of stage 1: in stage 4 it is 65536, the most channels that anything has."""

_Widths = tuple[int, ...]


class EncodingError(UserError):
    """An encoding that breaks the grammar, or that no backbone can have.

    Attributes:
        position: offset of the first offending character in the text, from 0.
    """

    def __init__(
        self, text: str, position: int, problem: str, remedy: str = "", also: Sequence[str] = ()
    ) -> None:
        found = repr(text[position]) if position < len(text) else "the end of the text"
        first = f"architecture: {problem}, found {found} at position {position}"
        super().__init__("; ".join((first, *also)), remedy)
        self.position = position


class _Reader:
    """Reads the tokens of an encoding one by one, with their positions."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self._skip_space()

    def _skip_space(self) -> None:
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1

    def peek(self) -> str | None:
        match = _TOKEN.match(self.text, self.position)
        return match.group(1) if match else None

    def expect(self, token: str, where: str) -> None:
        if self.peek() != token:
            raise EncodingError(self.text, self.position, f"expected {token!r} {where}")
        self._advance()

    def accept(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self._advance()
        return True

    def number(self) -> int:
        token = self.peek()
        if token is None or not token.isdigit():
            raise EncodingError(self.text, self.position, "expected a number of channels")
        if len(token) > _DIGITS or not 1 <= int(token) <= 65536:
            raise EncodingError(
                self.text, self.position, f"{token[:20]} channels", "a width is 1 to 65536"
            )
        self._advance()
        return int(token)

    def end(self) -> None:
        if self.position < len(self.text):
            raise EncodingError(self.text, self.position, "expected the end after the last stage")

    def _advance(self) -> None:
        match = _TOKEN.match(self.text, self.position)
        assert match is not None
        self.position = match.end()
        self._skip_space()


def parse(
    text: str,
    family: Family | None = None,
    stem: int | None = None,
    *,
    group_width: int = GROUP_WIDTH,
    group_widths: Sequence[Sequence[int]] | None = None,
) -> Architecture:
    """Read an encoding such as ``[(64, 64)], [(128, 128)], [(256, 256)], [(512, 512)]``.

    The text form contains neither the stem nor group widths.

    Args:
        text: blocks are joined by ``-`` and stages by ``,``; each stage is in brackets.
        family: kind of block; by default Basic for pairs and Bottleneck for triples.
        stem: output channels of the stem; by default the family's usual ones.
        group_width: of ResNeXt blocks in stage 1; it doubles with every stage, as mmdet's does.
        group_widths: per stage, per block, where Rearrange has moved blocks; instead of
            ``group_width``.

    Raises:
        EncodingError: the text is not of that form, or no such backbone exists; names the position,
            of several wrong blocks each.
    """
    reader = _Reader(text)
    starts: list[int] = []
    stages = [_stage(reader, starts)]
    while reader.accept(","):
        stages.append(_stage(reader, starts))
    reader.end()
    family = family or _family_of(len(stages[0][0]), text, starts[0])
    placed = _placed(stages, family, group_width, group_widths)
    if problems := list(_problems(text, starts, placed, family)):
        (position, problem, remedy), *more = problems
        also = [f"{what} at position {where}" for where, what, _ in more[:_MOST_PROBLEMS]]
        raise EncodingError(text, position, problem, remedy, also)
    return Architecture(
        family=family,
        stem=stem or FAMILIES[family].stem,
        stages=tuple(tuple(stage) for stage in placed),
    )


def _placed(
    stages: list[list[_Widths]],
    family: Family,
    group_width: int,
    group_widths: Sequence[Sequence[int]] | None,
) -> list[list[Block]]:
    if not FAMILIES[family].grouped:
        return [[Block(widths=widths) for widths in stage] for stage in stages]
    given = group_widths or [
        [group_width << number] * len(stage) for number, stage in enumerate(stages)
    ]
    return [
        [Block(widths=widths, group_width=group) for widths, group in zip(*pair, strict=True)]
        for pair in zip(stages, given, strict=True)
    ]


def _problems(
    text: str, starts: list[int], stages: list[list[Block]], family: Family
) -> Iterator[tuple[int, str, str]]:
    """What no backbone of the family can have: position, problem, and what would be right."""
    if len(stages) != STAGES:
        yield len(text), f"{len(stages)} stages", f"a backbone has {STAGES} stages"
    arity = FAMILIES[family].arity
    for block, start in zip((b for stage in stages for b in stage), starts, strict=True):
        if len(block.widths) != arity:
            yield start, f"a block of {len(block.widths)} widths", f"{family} blocks have {arity}"
        elif problem := FAMILIES[family].problem(block.widths, block.group_width):
            widths = ", ".join(map(str, block.widths))
            yield start, f"({widths}) has {problem}", ""


def encode(architecture: Architecture) -> str:
    """Return the text form.

    `parse` with the same family, stem and group widths is the inverse.
    """
    return ", ".join(encode_stages(architecture))


def encode_stages(architecture: Architecture) -> tuple[str, ...]:
    """Return the text form of each stage."""
    return tuple(
        "[" + "-".join(f"({', '.join(map(str, block.widths))})" for block in stage) + "]"
        for stage in architecture.stages
    )


def _family_of(arity: int, text: str, position: int) -> Family:
    if arity not in _DEFAULT_FAMILY:
        raise EncodingError(
            text, position, f"a block of {arity} widths", "Basic has 2, Bottleneck has 3"
        )
    return _DEFAULT_FAMILY[arity]


def _stage(reader: _Reader, starts: list[int]) -> list[_Widths]:
    reader.expect("[", "to open a stage")
    blocks = [_block(reader, starts)]
    while reader.accept("-"):
        blocks.append(_block(reader, starts))
    reader.expect("]", "to close the stage")
    return blocks


def _block(reader: _Reader, starts: list[int]) -> _Widths:
    starts.append(reader.position)
    reader.expect("(", "to open a block")
    widths = [reader.number()]
    while reader.accept(","):
        widths.append(reader.number())
    reader.expect(")", "to close the block")
    return tuple(widths)
