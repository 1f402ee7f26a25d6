"""Random architectures and teachers."""

from hypothesis import strategies as st

from detnas.architecture import FAMILIES, Architecture, Block, Family
from detnas.teachers import Teacher, TeacherSpace

widths = st.integers(1, 96)


@st.composite
def architectures(draw: st.DrawFn, most_blocks: int = 4) -> Architecture:
    """Any legal backbone; about half of its blocks go on with the width before them."""
    family = draw(st.sampled_from(list(Family)))
    out = stem = draw(widths)
    stages = []
    for _ in range(4):
        stage = []
        for _ in range(draw(st.integers(1, most_blocks))):
            out = out if draw(st.booleans()) else draw(widths)
            stage.append(draw(_blocks(family, out)))
        stages.append(tuple(stage))
    return Architecture(family=family, stem=stem, stages=tuple(stages))


@st.composite
def _blocks(draw: st.DrawFn, family: Family, out: int) -> Block:
    if FAMILIES[family].grouped:
        group_width = draw(st.sampled_from([1, 3, 4, 8]))
        inner = group_width * draw(st.integers(1, 8))
        return Block(widths=(inner, inner, out), group_width=group_width)
    return Block(widths=(*(draw(widths) for _ in range(FAMILIES[family].arity - 1)), out))


@st.composite
def spaces(draw: st.DrawFn) -> TeacherSpace:
    """A space of up to nine depths a stage."""
    low = [draw(st.integers(1, 4)) for _ in range(4)]
    high = [depth + draw(st.integers(0, 8)) for depth in low]
    factors = draw(st.sets(st.sampled_from(["0.5", "0.75", "1.0", "1.25", "1.5"]), min_size=1))
    return TeacherSpace.model_validate(
        {"min_depths": low, "max_depths": high, "widths": sorted(factors)}
    )


@st.composite
def teachers(draw: st.DrawFn, space: TeacherSpace | None = None) -> Teacher:
    """A teacher of the space; by default the paper's."""
    space = space or TeacherSpace()
    return space.sample(draw(st.randoms(use_true_random=False)))
