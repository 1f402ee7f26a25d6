"""What the API server checks across the fields of a section: pydantic's validators, in CEL.

Each rule is the counterpart of a validator of its model, and states what would be right. Rules see
the manifest as written, so they contain the defaults of what may be left out.
"""

from pydantic import BaseModel

from detnas.architecture.blocks import FAMILIES
from detnas.records.exports import NO_TORCH_INT8, ExportSettings
from detnas.records.settings import DetectorShape
from detnas.resource.rule import Rule
from detnas.resource.teacher_rules import (
    default_phases_fit,
    external_alone,
    external_beside_the_pool,
    min_below_max,
    phases_lie_in_the_space,
    rising_widths,
    supernet_holds_every_projection,
    supernet_stays,
)
from detnas.resource.upgrade_rules import (
    cascade_once,
    cascade_without_classes,
    changes_something,
    deformable_family,
    stages_once,
)
from detnas.spec.affinity import NodeRequirement, PodRequirement
from detnas.spec.base import Base
from detnas.spec.baselines import NO_BASE_TO_COMPARE, NOT_WITH_UPGRADE
from detnas.spec.dataset import Dataset, DataSource, VolumeClaim
from detnas.spec.jobs import Jobs, KindFields, Resources, Toleration
from detnas.spec.manifest import (
    CLASS_AWARE_IN_CASCADE,
    INHERITS_NO_SUBNETS,
    ON_ONE_KIND_OF_DEVICE,
    SEARCHES_NO_POOL,
    TUNES_ONE_SUBNET,
    SearchSpec,
)
from detnas.spec.objectives import NO_LIMIT, DetectorLimits
from detnas.spec.patterns import (
    ENV_NAME,
    LABEL_KEY,
    RESERVED_ANNOTATIONS,
    RESERVED_LABELS,
    RESOURCE_NAME,
    WORDS,
    is_reserved,
)
from detnas.spec.search import Finetune, Upgrade
from detnas.spec.storage import Storage, WarmStart
from detnas.spec.teachers import DepthRange, PoolPhase, Teachers


def _stays_inside(field: str) -> Rule:
    return Rule(
        f"!has(self.{field}) || !('/' + self.{field} + '/').contains('/../')",
        "leads out of its folder; write it without '..'",
        f".{field}",
    )


_CHANNELS = (
    "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-6])"
)


def _encoding(arity: int) -> str:
    """Regular expression of an encoding whose blocks have so many widths."""
    block = rf"\(\s*{_CHANNELS}(\s*,\s*{_CHANNELS}){{{arity - 1}}}\s*\)"
    stage = rf"\[\s*{block}(\s*-\s*{block})*\s*\]"
    return rf"^\s*{stage}(\s*,\s*{stage}){{3}}\s*$"


def _architecture_fits() -> Rule:
    arities = sorted({family.arity for family in FAMILIES.values()})
    fits = " || ".join(
        f"((!has(self.family) || self.family in {_families(arity)})"
        f" && self.architecture.matches(r'{_encoding(arity)}'))"
        for arity in arities
    )
    return Rule(
        f"!has(self.architecture) || {fits}",
        "write four stages such as [(64, 64)-(64, 64)], [(128, 128)], [(256, 256)], [(512, 512)]: "
        "pairs of widths for Basic and MobileNetV2 blocks, triples for Bottleneck and ResNeXt, "
        "each width 1 to 65536",
        ".architecture",
    )


def _families(arity: int) -> list[str]:
    return [str(family) for family, traits in FAMILIES.items() if traits.arity == arity]


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


def _plain_in_cascade(section: str, needed: str = "true") -> Rule:
    """The losses of a section, where they are needed, compare a cascade's boxes plainly."""
    parts = [*section.split("."), "localization"]
    present = " && ".join(f"has(self.{'.'.join(parts[:end])})" for end in (1, 2, 3)[: len(parts)])
    cascade = "has(self.detector) && has(self.detector.head) && self.detector.head == 'Cascade'"
    return Rule(
        f"!({cascade} && {needed}) || ({present} && self.{'.'.join(parts)} != 'ClassAware')",
        f"{section}.localization: {CLASS_AWARE_IN_CASCADE}",
    )


_FINETUNE_HAS_LOSSES = "has(self.finetune) && has(self.finetune.distillation)"
_TRAINS_A_POOL = (
    "!(has(self.teachers) && has(self.teachers.choice) && self.teachers.choice == 'External')"
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
        Rule(
            "self.?zeroInitResidual.orValue(true)"
            " || !(has(self.weights) || has(self.backboneWeights))",
            "zeroInitResidual says how a training from nothing begins; leave it out with weights "
            "or backboneWeights",
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
    Dataset: (
        *(
            Rule(
                f"!{_ON_CLUSTER} || !has(self.{field}) || (!self.{field}.startsWith('/')"
                f" && !('/' + self.{field} + '/').contains('/../'))",
                "leads out of the source; write a path below it, without '..' and without a slash "
                "at its beginning",
                f".{field}",
            )
            for field in ("train", "val", "test", "trainImages", "valImages", "testImages")
        ),
        Rule(
            "self.?testImages.orValue('') == '' || has(self.test)",
            "testImages is the folder of what test annotates; give test",
            ".testImages",
        ),
    ),
    VolumeClaim: (_stays_inside("path"),),
    DepthRange: (min_below_max(),),
    PoolPhase: (rising_widths(),),
    Teachers: (
        rising_widths(),
        phases_lie_in_the_space(),
        supernet_stays(),
        default_phases_fit(),
        supernet_holds_every_projection(),
        *external_alone(),
        _stays_inside("pool"),
    ),
    SearchSpec: (
        Rule(
            "!has(self.resolutions)"
            " || self.resolutions.all(a, self.resolutions.exists_one(b, a == b))",
            "list each resolution once",
            ".resolutions",
        ),
        *external_beside_the_pool(),
        Rule(
            "!has(self.warmStart) || self.?search.strategy.orValue('Joint') != 'TeacherPool'",
            INHERITS_NO_SUBNETS,
            ".warmStart",
        ),
        Rule(
            "self.?teachers.choice.orValue('Dynamic') != 'External'"
            " || self.?search.strategy.orValue('Joint') != 'TeacherPool'",
            SEARCHES_NO_POOL,
            ".search.strategy",
        ),
        Rule(
            "self.?finetune.candidates.orValue(1) == 1"
            " || self.?search.strategy.orValue('Joint') != 'TeacherPool'",
            TUNES_ONE_SUBNET,
            ".search.strategy",
        ),
        Rule(
            "!has(self.baselines) || self.baselines.all(a, self.baselines.exists_one(b, a == b))",
            "list each baseline once",
            ".baselines",
        ),
        Rule(
            "self.?baselines.orValue([]).size() == 0"
            " || self.?search.strategy.orValue('Joint') != 'TeacherPool'",
            NO_BASE_TO_COMPARE,
            ".baselines",
        ),
        Rule(
            "self.?baselines.orValue([]).size() == 0 || !has(self.finetune)"
            " || !has(self.finetune.upgrade)",
            NOT_WITH_UPGRADE,
            ".baselines",
        ),
        Rule(
            "self.?search.objective.orValue('Flops') == 'Flops'"
            " || ((self.base.?gpus.orValue(1) == 0) == (self.?evaluation.gpus.orValue(1) == 0)"
            " && (!has(self.finetune)"
            " || (self.base.?gpus.orValue(1) == 0) == (self.finetune.?gpus.orValue(1) == 0)))",
            ON_ONE_KIND_OF_DEVICE,
        ),
        deformable_family(_encoding(3)),
        cascade_once(),
        cascade_without_classes(),
        _plain_in_cascade("distillation"),
        _plain_in_cascade("finetune.distillation", _FINETUNE_HAS_LOSSES),
        _plain_in_cascade("teachers.distillation", _TRAINS_A_POOL),
    ),
    DetectorShape: (
        Rule(
            "!has(self.anchorScales) || !has(self.anchorScale) || self.anchorScale == "
            f"{DetectorShape().anchor_scale}",
            "give either anchorScale or anchorScales",
        ),
        Rule(
            "!has(self.stages) || self.stages.size() == 0"
            " || (self.stages.size() > 1) == (has(self.head) && self.head == 'Cascade')",
            "head Standard has one of stages, head Cascade at least two",
            ".stages",
        ),
    ),
    Finetune: (
        Rule(
            "!(has(self.channelFraction) && has(self.flopsFraction))",
            "give either channelFraction or flopsFraction, not both",
        ),
        Rule(
            "!has(self.upgrade) || !(has(self.channelFraction) || has(self.flopsFraction))",
            "give either upgrade or pruning (channelFraction, flopsFraction)",
        ),
    ),
    DetectorLimits: (
        Rule("has(self.maxLatencyMs) || has(self.maxFlops) || has(self.minMap)", NO_LIMIT),
    ),
    Upgrade: (stages_once(), changes_something()),
    ExportSettings: (
        Rule(
            "!has(self.formats) || !self.formats.exists(f, f == 'Torch')"
            " || self.formats.exists(f, f in ['Onnx', 'OpenVINO'])"
            " || !has(self.precisions) || self.precisions.exists(p, p != 'INT8')",
            NO_TORCH_INT8,
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
