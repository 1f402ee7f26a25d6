"""The text form of Appendix B: ``[(64, 64)-(64, 64)], [(128, 128)], …``, parsed and printed."""

import re

from detnas.architecture.blocks import FAMILIES, Family
from detnas.architecture.model import STAGES, Architecture, Block
from detnas.errors import UserError

_TOKEN = re.compile(r"\s*([0-9]+|[\[\](),\-])")
_DEFAULT_FAMILY = {FAMILIES[f].arity: f for f in (Family.BASIC, Family.BOTTLENECK)}
_STEM = 64
_DIGITS = 20


class EncodingError(UserError):
    """An encoding that breaks the grammar, or that no backbone can have.

    Attributes:
        position: offset of the offending character in the text, from 0.
    """

    def __init__(self, text: str, position: int, problem: str, remedy: str = "") -> None:
        found = repr(text[position]) if position < len(text) else "the end of the text"
        super().__init__(f"architecture: {problem}, found {found} at position {position}", remedy)
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


def parse(text: str, family: Family | None = None, stem: int = _STEM) -> Architecture:
    """Read an encoding such as ``[(64, 64)], [(128, 128)], [(256, 256)], [(512, 512)]``.

    Args:
        text: blocks are joined by ``-`` and stages by ``,``; each stage is in brackets.
        family: kind of block; by default Basic for pairs and Bottleneck for triples.
        stem: output channels of the stem, which the text form does not contain.

    Raises:
        EncodingError: the text is not of that form, or no such backbone exists; names the
            position.
    """
    reader = _Reader(text)
    starts: list[int] = []
    stages = [_stage(reader, starts)]
    while reader.accept(","):
        stages.append(_stage(reader, starts))
    reader.end()
    if len(stages) != STAGES:
        raise EncodingError(
            text, len(text), f"{len(stages)} stages", f"a backbone has {STAGES} stages"
        )
    blocks = [block for stage in stages for block in stage]
    family = family or _family_of(len(blocks[0]), text, starts[0])
    arity = FAMILIES[family].arity
    for block, start in zip(blocks, starts, strict=True):
        if len(block) != arity:
            raise EncodingError(
                text, start, f"a block of {len(block)} widths", f"{family} blocks have {arity}"
            )
    return Architecture(
        family=family,
        stem=stem,
        stages=tuple(tuple(Block(widths=widths) for widths in stage) for stage in stages),
    )


def encode(architecture: Architecture) -> str:
    """Return the text form, of which `parse` with the same family and stem is the inverse."""
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


def _stage(reader: _Reader, starts: list[int]) -> list[tuple[int, ...]]:
    reader.expect("[", "to open a stage")
    blocks = [_block(reader, starts)]
    while reader.accept("-"):
        blocks.append(_block(reader, starts))
    reader.expect("]", "to close the stage")
    return blocks


def _block(reader: _Reader, starts: list[int]) -> tuple[int, ...]:
    starts.append(reader.position)
    reader.expect("(", "to open a block")
    widths = [reader.number()]
    while reader.accept(","):
        widths.append(reader.number())
    reader.expect(")", "to close the block")
    return tuple(widths)
