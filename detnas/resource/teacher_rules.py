"""Rules on the space of teachers and its phases, as `Teachers` validates them, in CEL."""

from detnas.resource.rule import Rule
from detnas.schema import FRACTION
from detnas.spec.teachers import PAPER_PHASES, Teachers

_DEFAULTS = Teachers()
_SUPERNET = _DEFAULTS.supernet


def _or(field: str, default: object) -> str:
    """The value of an optional field, or the default's.

    An optional type would be equivalent, but the API server cannot bound its cost.
    """
    parts = field.split(".")
    present = " && ".join(f"has({'.'.join(parts[:end])})" for end in range(2, len(parts) + 1))
    return f"({present} ? {field} : {default})"


_MIN = _or("self.depths.min", list(_DEFAULTS.depths.min))
_MAX = _or("self.depths.max", list(_DEFAULTS.depths.max))
_FACTORS = [float(width) for width in _DEFAULTS.widths]
_LARGEST = f"(has(self.widths) ? double(self.widths[self.widths.size() - 1]) : {max(_FACTORS)})"
_SANE = (
    f"{_MIN}.size() == 4 && {_MAX}.size() == 4 && (!has(self.widths)"
    f" || (self.widths.size() > 0 && self.widths.all(w, w.matches(r'{FRACTION}'))))"
)
"""What the rules on phases assume; the schema itself refuses anything else."""


def _is_width(factor: str) -> str:
    """Whether a number is one of the pool's width factors."""
    given = f"self.widths.exists(v, double(v) == {factor})"
    return f"(has(self.widths) ? {given} : {_FACTORS}.exists(v, v == {factor}))"


def rising_widths() -> Rule:
    """Each width factor is listed once, in rising order."""
    widths = "self.widths"
    rising = (
        f"!{widths}.all(w, w.matches(r'{FRACTION}'))"
        f" || ({widths}.map(w, double(w)).isSorted()"
        f" && {widths}.all(w, {widths}.exists_one(v, double(v) == double(w))))"
    )
    message = 'list each width once, in rising order, such as ["1.0", "1.25", "1.5"]'
    return Rule(f"!has(self.widths) || {rising}", message, ".widths")


def min_below_max() -> Rule:
    """The least depths are below the greatest."""
    low = _or("self.min", list(_DEFAULTS.depths.min))
    high = _or("self.max", list(_DEFAULTS.depths.max))
    return Rule(
        f"{low}.size() != 4 || {high}.size() != 4 || [0, 1, 2, 3].all(i, {low}[i] <= {high}[i])",
        "min is above max; the minimum of each stage may be at most its maximum, which is "
        f"{list(_DEFAULTS.depths.max)} where max is left out",
    )


def phases_lie_in_the_space() -> Rule:
    """Every phase draws subnets of the pool's own space."""
    depths = f"[0, 1, 2, 3].all(i, {_MIN}[i] <= p.minDepths[i] && p.minDepths[i] <= {_MAX}[i])"
    widths = f"p.widths.all(w, w.matches(r'{FRACTION}') && {_is_width('double(w)')})"
    return Rule(
        f"""!has(self.phases) || !({_SANE}) || self.phases.all(p,
            (!has(p.minDepths) || p.minDepths.size() != 4 || {depths})
            && (!has(p.widths) || {widths}))""",
        "a phase draws subnets outside depths and widths of the pool; give minDepths between "
        "depths.min and depths.max, and widths out of teachers.widths",
        ".phases",
    )


def supernet_stays() -> Rule:
    """Every phase after the first includes the supernet."""

    def leaves_out(phase: str) -> str:
        last = f"{phase}.widths[{phase}.widths.size() - 1]"
        return (
            f"(has({phase}.widths) && {phase}.widths.size() > 0"
            f" && {last}.matches(r'{FRACTION}') && double({last}) != {_LARGEST})"
        )

    return Rule(
        f"""!has(self.phases) || self.phases.size() == 0 || !({_SANE})
            || self.phases.filter(p, {leaves_out("p")}).size()
            == ({leaves_out("self.phases[0]")} ? 1 : 0)""",
        "a phase after the first leaves out the largest of teachers.widths; end its widths with "
        "it, for the supernet stays part of every phase",
        ".phases",
    )


def default_phases_fit() -> Rule:
    """The default phases draw subnets of the space."""
    second = PAPER_PHASES[1]
    assert second.min_depths is not None
    assert second.widths is not None
    least = list(second.min_depths)
    widths = " && ".join(_is_width(str(float(width))) for width in second.widths)
    return Rule(
        f"""has(self.phases) || !({_SANE}) || (
            [0, 1, 2, 3].all(i, {_MIN}[i] <= {least}[i] && {least}[i] <= {_MAX}[i])
            && {widths} && {_LARGEST} == {float(second.widths[-1])})""",
        "the default phases draw subnets outside these depths and widths; give phases as well",
        ".phases",
    )


_ALONE = "(has(self.choice) && self.choice == 'External')"
_BESIDE = (
    "(has(self.teachers) && has(self.teachers.external)"
    " && !(has(self.teachers.choice) && self.teachers.choice == 'External'))"
)


def external_alone() -> tuple[Rule, ...]:
    """The external teacher that teaches alone is given, and a pool is not."""
    return (
        Rule(
            f"!{_ALONE} || has(self.external)",
            "choice External needs external; give its config and weights",
        ),
        Rule(
            f"!{_ALONE} || !has(self.pool)", "with choice External no pool teaches; leave pool out"
        ),
    )


def external_beside_the_pool() -> tuple[Rule, ...]:
    """Beside the pool the external teacher has a fine-tuning to teach, and the pool trials."""
    return (
        Rule(
            f"!{_BESIDE} || has(self.finetune)",
            "teachers.external teaches the fine-tuning, beside the pool; give finetune, or "
            "teachers.choice: External",
        ),
        Rule(
            f"!{_BESIDE} || !(has(self.search) && has(self.search.strategy)"
            " && self.search.strategy == 'Pipeline')",
            "teachers.external teaches the fine-tuning, and with strategy Pipeline the pool would "
            "teach nothing; set teachers.choice: External",
        ),
    )


def supernet_holds_every_projection() -> Rule:
    """The first block has a projection at full width if a narrower teacher has one."""
    stem = f"double({_or('self.supernet.stem', _SUPERNET.stem)})"
    outputs = _or("self.supernet.outputs", list(_SUPERNET.outputs))
    return Rule(
        f"""!({_SANE}) || (has(self.widths) && self.widths.size() == 1) || {outputs}.size() != 4
            || int({stem} * {_LARGEST} + 0.5) != int(double({outputs}[0]) * {_LARGEST} + 0.5)""",
        "stem and the first of outputs are equally wide at full width, so that the first block "
        "has no projection, which narrower teachers need; give the two different widths",
        ".supernet",
    )
