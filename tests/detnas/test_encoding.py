"""The text form: what is written is read back, and what is wrong is refused by its position."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas.architecture import Architecture, EncodingError, Family, encode, parse
from tests.detnas import appendix_b
from tests.detnas.strategies import architectures

FOUR_STAGES = "[(8, 8)], [(8, 8)], [(8, 8)], [(8, 8)]"


def _parsed(text: str, like: Architecture) -> Architecture:
    return parse(text, like.family, like.stem, group_widths=like.group_widths)


@given(architectures())
def test_encoded_architecture_is_parsed_back(architecture: Architecture) -> None:
    assert _parsed(encode(architecture), architecture) == architecture


@given(architectures(), st.randoms(use_true_random=False))
def test_white_space_between_tokens_means_nothing(
    architecture: Architecture, random: Random
) -> None:
    spaced = "".join(
        token + random.choice(["", " ", "\n", "\t "]) if not token.isdigit() else token
        for token in encode(architecture).replace(" ", "")
    )
    assert _parsed(spaced, architecture) == architecture


@given(architectures())
def test_json_holds_the_same_architecture(architecture: Architecture) -> None:
    assert Architecture.model_validate_json(architecture.model_dump_json()) == architecture


@pytest.mark.parametrize(
    ("text", "family", "depths"),
    [
        (appendix_b.R18, Family.BASIC, (1, 2, 2, 2)),
        (appendix_b.R50, Family.BOTTLENECK, (3, 4, 6, 3)),
        (appendix_b.R101, Family.BOTTLENECK, (3, 4, 20, 5)),
    ],
)
def test_papers_encodings_are_read_and_written_as_printed(
    text: str, family: Family, depths: tuple[int, ...]
) -> None:
    architecture = parse(text)
    assert (architecture.family, architecture.depths) == (family, depths)
    assert encode(architecture) == text


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        pytest.param("", 0, ["'['", "end of the text"], id="nothing"),
        pytest.param(
            appendix_b.R18_AS_PRINTED,
            len(appendix_b.R18_AS_PRINTED),
            ["']'", "end of the text"],
            id="R18 as printed lacks its last bracket",
        ),
        pytest.param(
            appendix_b.R50_AS_PRINTED, 0, ["'['", "'('"], id="R50 as printed lacks its first one"
        ),
        pytest.param("[(8, 8)], [(8, x)]", 15, ["number", "'x'"], id="no number"),
        pytest.param("[(8, 8)], [(8, 8]", 16, ["')'", "']'"], id="open block"),
        pytest.param("[(8, 0)]", 5, ["0 channels", "1 to 65536"], id="no channels"),
        pytest.param("[(8, 70000)]", 5, ["70000 channels"], id="too many channels"),
        pytest.param("[]", 1, ["'('", "']'"], id="empty stage"),
        pytest.param("[(8, 8)], [(8, 8)]", 18, ["2 stages", "4 stages"], id="two stages"),
        pytest.param(FOUR_STAGES + "]", len(FOUR_STAGES), ["end", "']'"], id="one more bracket"),
        pytest.param(FOUR_STAGES + ", [(8, 8)]", None, ["5 stages"], id="five stages"),
        pytest.param(
            "[(8, 8)-(8, 8, 8)], [(8, 8)], [(8, 8)], [(8, 8)]", 8, ["3 widths"], id="mixed arity"
        ),
        pytest.param("[(8)], [(8)], [(8)], [(8)]", 1, ["1 widths", "Basic has 2"], id="arity 1"),
        pytest.param("[(8 8)]", 4, ["')'", "'8'"], id="no comma"),
        pytest.param("[(-8, 8)]", 2, ["number", "'-'"], id="negative"),
    ],
)
def test_malformed_encoding_is_refused_with_its_position(
    text: str, position: int | None, words: list[str]
) -> None:
    with pytest.raises(EncodingError) as refusal:
        parse(text)
    if position is not None:
        assert refusal.value.position == position
    assert all(word in str(refusal.value) for word in words)


def test_family_that_does_not_fit_is_refused() -> None:
    with pytest.raises(EncodingError, match="a block of 2 widths.*Bottleneck blocks have 3"):
        parse(appendix_b.R18, Family.BOTTLENECK)


@given(architectures(), st.data())
def test_text_without_one_of_its_signs_is_refused(
    architecture: Architecture, data: st.DataObject
) -> None:
    text = encode(architecture)
    signs = [position for position, sign in enumerate(text) if sign in "[](),-"]
    at = data.draw(st.sampled_from(signs))
    with pytest.raises(EncodingError) as refusal:
        parse(text[:at] + text[at + 1 :], architecture.family)
    assert 0 <= refusal.value.position < len(text)


def test_searched_x101_as_printed_is_refused_for_its_bracket_and_its_block() -> None:
    text = appendix_b.X101_AS_PRINTED
    with pytest.raises(EncodingError) as refusal:
        parse(text, Family.RESNEXT)
    assert refusal.value.position == len(text)
    block = "(404, 464, 1024) has inner widths 404 and 464"
    assert all(words in str(refusal.value) for words in ("3 stages", block))
    assert f"at position {text.index('(404')}" in str(refusal.value)


def test_group_widths_double_with_every_stage_unless_given() -> None:
    text = "[(32, 32, 64)-(64, 64, 64)], [(32, 32, 64)], [(32, 32, 64)], [(32, 32, 64)]"
    assert parse(text, Family.RESNEXT).group_widths == ((4, 4), (8,), (16,), (32,))
    assert parse(text, Family.RESNEXT, group_width=2).group_widths == ((2, 2), (4,), (8,), (16,))
    given = ((8, 16), (1,), (4,), (2,))
    assert parse(text, Family.RESNEXT, group_widths=given).group_widths == given


def test_groups_that_are_not_whole_are_refused_with_their_position() -> None:
    text = "[(32, 32, 64)-(30, 30, 64)], [(32, 32, 64)], [(32, 32, 64)], [(32, 32, 64)]"
    with pytest.raises(EncodingError, match="30 inner channels.*group width 4") as refusal:
        parse(text, Family.RESNEXT)
    assert refusal.value.position == text.index("(30")


def test_stem_is_the_familys_usual_one_unless_given() -> None:
    assert parse(FOUR_STAGES).stem == 64
    assert parse(FOUR_STAGES, Family.MOBILENET_V2).stem == 16
    assert parse(FOUR_STAGES, Family.MOBILENET_V2, 8).stem == 8
