"""What the API server checks across the fields of a section: pydantic's validators, in CEL.

Each rule is the counterpart of a validator of its model, and states what would be right. Rules see
the manifest as written, so they contain the defaults of what may be left out.
"""

from dataclasses import dataclass

from pydantic import BaseModel

from detnas.architecture.blocks import FAMILIES, Family
from detnas.schema import FRACTION
from detnas.spec.affinity import NodeRequirement, PodRequirement
from detnas.spec.base import Base
from detnas.spec.dataset import Dataset, DataSource, VolumeClaim
from detnas.spec.jobs import Jobs, KindFields, Resources, Toleration
from detnas.spec.manifest import SearchSpec
from detnas.spec.patterns import (
    ENV_NAME,
    LABEL_KEY,
    RESERVED_ANNOTATIONS,
    RESERVED_LABELS,
    RESOURCE_NAME,
    WORDS,
    is_reserved,
)
from detnas.spec.storage import Storage, WarmStart
from detnas.spec.teachers import PAPER_PHASES, DepthRange, PoolPhase, Teachers


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that the API server checks.

    Attributes:
        rule: CEL over ``self``, and ``oldSelf`` for a transition.
        message: what would be right.
        field: path below ``self`` that the message names, such as ``.search.seed``.
    """

    rule: str
    message: str
    field: str = ""

    def to_json(self) -> dict[str, str]:
        """An entry of ``x-kubernetes-validations``."""
        entry = {"rule": " ".join(self.rule.split()), "message": self.message}
        return {**entry, "fieldPath": self.field} if self.field else entry


def _stays_inside(field: str) -> Rule:
    return Rule(
        f"!has(self.{field}) || !('/' + self.{field} + '/').contains('/../')",
        "leads out of its folder; write it without '..'",
        f".{field}",
    )


_CHANNELS = (
    "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-6])"
)


def _encoding(family: Family) -> str:
    """Regular expression of an encoding whose blocks are of a family."""
    more = FAMILIES[family].arity - 1
    block = rf"\(\s*{_CHANNELS}(\s*,\s*{_CHANNELS}){{{more}}}\s*\)"
    stage = rf"\[\s*{block}(\s*-\s*{block})*\s*\]"
    return rf"^\s*{stage}(\s*,\s*{stage}){{3}}\s*$"


def _architecture_fits() -> Rule:
    fits = " || ".join(
        f"(self.?family.orValue('{family}') == '{family}'"
        f" && self.architecture.matches(r'{_encoding(family)}'))"
        for family in FAMILIES
    )
    return Rule(
        f"!has(self.architecture) || {fits}",
        "write four stages such as [(64, 64)-(64, 64)], [(128, 128)], [(256, 256)], [(512, 512)]: "
        "pairs of widths for Basic blocks, triples for Bottleneck, each width 1 to 65536",
        ".architecture",
    )


def _rising(widths: str) -> str:
    return (
        f"!{widths}.all(w, w.matches(r'{FRACTION}'))"
        f" || ({widths}.map(w, double(w)).isSorted()"
        f" && {widths}.all(w, {widths}.exists_one(v, double(v) == double(w))))"
    )


_RISING = 'list each width once, in rising order, such as ["1.0", "1.25", "1.5"]'
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


def _min_below_max() -> Rule:
    low = _or("self.min", list(_DEFAULTS.depths.min))
    high = _or("self.max", list(_DEFAULTS.depths.max))
    return Rule(
        f"{low}.size() != 4 || {high}.size() != 4 || [0, 1, 2, 3].all(i, {low}[i] <= {high}[i])",
        "min is above max; the minimum of each stage may be at most its maximum, which is "
        f"{list(_DEFAULTS.depths.max)} where max is left out",
    )


def _phases_lie_in_the_space() -> Rule:
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


def _supernet_stays() -> Rule:
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


def _default_phases_fit() -> Rule:
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


def _supernet_holds_every_projection() -> Rule:
    stem = f"double({_or('self.supernet.stem', _SUPERNET.stem)})"
    outputs = _or("self.supernet.outputs", list(_SUPERNET.outputs))
    return Rule(
        f"""!({_SANE}) || (has(self.widths) && self.widths.size() == 1) || {outputs}.size() != 4
            || int({stem} * {_LARGEST} + 0.5) != int(double({outputs}[0]) * {_LARGEST} + 0.5)""",
        "stem and the first of outputs are equally wide at full width, so that the first block "
        "has no projection, which narrower teachers need; give the two different widths",
        ".supernet",
    )


def _keys(field: str, pattern: str = LABEL_KEY, longest: int = 317) -> Rule:
    fits = f"k.size() <= {longest} && k.matches(r'{pattern}')"
    return Rule(
        f"!has(self.{field}) || self.{field}.all(k, {fits})",
        f"a key is wrong; {WORDS[pattern]}",
        f".{field}",
    )


def _reserved(field: str, beginnings: tuple[str, ...]) -> Rule:
    free = f"!{list(beginnings)}.exists(b, k.startsWith(b))"
    return Rule(
        f"!has(self.{field}) || self.{field}.all(k, {free})",
        f"a key {is_reserved(beginnings)}",
        f".{field}",
    )


_VALUES = (
    Rule(
        "!(self.operator in ['In', 'NotIn']) || self.?values.orValue([]).size() > 0",
        "operators In and NotIn take values; give at least one",
    ),
    Rule(
        "!(self.operator in ['Exists', 'DoesNotExist']) || self.?values.orValue([]).size() == 0",
        "operators Exists and DoesNotExist take no values; leave values out",
    ),
)
_KIND_FIELDS = (_keys("nodeSelector"), _keys("env", ENV_NAME, 64))

_ON_CLUSTER = "(has(self.source.persistentVolumeClaim) || has(self.source.s3))"

RULES: dict[type[BaseModel], tuple[Rule, ...]] = {
    Base: (
        Rule("has(self.model) != has(self.architecture)", "give either model or architecture"),
        Rule(
            "has(self.weights) || has(self.train)",
            "give weights to start from, or train to train the base first",
        ),
        Rule(
            "!(has(self.weights) && has(self.backboneWeights))",
            "give either weights, of a whole detector, or backboneWeights",
        ),
        Rule(
            "!(has(self.frozenStages) || has(self.normEval))"
            " || (has(self.train) && (has(self.weights) || has(self.backboneWeights)))",
            "frozenStages and normEval say what a training from weights keeps; give train, and "
            "weights or backboneWeights",
        ),
        _architecture_fits(),
    ),
    DataSource: (
        Rule(
            "!(has(self.persistentVolumeClaim) && has(self.s3))",
            "give either persistentVolumeClaim or s3, not both",
        ),
        Rule(
            "has(self.directory) || has(self.persistentVolumeClaim) || has(self.s3)",
            "give directory for one machine, or persistentVolumeClaim or s3 for a cluster",
        ),
    ),
    Dataset: tuple(
        Rule(
            f"!{_ON_CLUSTER} || !has(self.{field}) || (!self.{field}.startsWith('/')"
            f" && !('/' + self.{field} + '/').contains('/../'))",
            "leads out of the source; write a path below it, without '..' and without a slash at "
            "its beginning",
            f".{field}",
        )
        for field in ("train", "val", "trainImages", "valImages")
    ),
    VolumeClaim: (_stays_inside("path"),),
    DepthRange: (_min_below_max(),),
    PoolPhase: (Rule(f"!has(self.widths) || {_rising('self.widths')}", _RISING, ".widths"),),
    Teachers: (
        Rule(f"!has(self.widths) || {_rising('self.widths')}", _RISING, ".widths"),
        _phases_lie_in_the_space(),
        _supernet_stays(),
        _default_phases_fit(),
        _supernet_holds_every_projection(),
        _stays_inside("pool"),
    ),
    SearchSpec: (
        Rule(
            "!has(self.resolutions)"
            " || self.resolutions.all(a, self.resolutions.exists_one(b, a == b))",
            "list each resolution once",
            ".resolutions",
        ),
    ),
    Storage: (_stays_inside("uri"),),
    WarmStart: (_stays_inside("from"),),
    Toleration: (
        Rule(
            "has(self.key) || self.?operator.orValue('Equal') == 'Exists'",
            "a toleration without key needs operator: Exists",
        ),
        Rule(
            "self.?value.orValue('') == '' || self.?operator.orValue('Equal') == 'Equal'",
            "operator Exists takes no value; leave value out, or write Equal",
        ),
        Rule(
            "!has(self.tolerationSeconds) || self.?effect.orValue('') == 'NoExecute'",
            "tolerationSeconds needs effect: NoExecute",
        ),
    ),
    NodeRequirement: (
        *_VALUES,
        Rule(
            "!(self.operator in ['Gt', 'Lt']) || (has(self.values) && self.values.size() == 1"
            " && self.values[0].matches('^[0-9]+$'))",
            'operators Gt and Lt take one integer as a string, such as ["4"]',
        ),
    ),
    PodRequirement: _VALUES,
    Resources: (_keys("extended", RESOURCE_NAME),),
    KindFields: _KIND_FIELDS,
    Jobs: (
        *_KIND_FIELDS,
        _keys("podLabels"),
        _reserved("podLabels", RESERVED_LABELS),
        _keys("podAnnotations"),
        _reserved("podAnnotations", RESERVED_ANNOTATIONS),
    ),
}
"""Rules by their section."""
