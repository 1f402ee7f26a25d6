"""Rules on the upgrade of the best student, as `Upgrade` and `SearchSpec` validate it, in CEL."""

from detnas.architecture.blocks import FAMILIES
from detnas.resource.rule import Rule
from detnas.spec.base import Model, model_architecture

_UPGRADE = "self.finetune.upgrade"
_HAS_UPGRADE = "has(self.finetune) && has(self.finetune.upgrade)"
_DEFORMS = f"({_HAS_UPGRADE} && has({_UPGRADE}.dcn) && {_UPGRADE}.dcn.size() > 0)"
_CASCADES = f"({_HAS_UPGRADE} && has({_UPGRADE}.cascade) && {_UPGRADE}.cascade)"
_RIGID = [str(family) for family, traits in FAMILIES.items() if not traits.deforms]
_RIGID_MODELS = [str(model) for model in Model if not model_architecture(model).traits.deforms]


def stages_once() -> Rule:
    """Each stage is listed once, in rising order."""
    return Rule(
        "!has(self.dcn) || (self.dcn.isSorted()"
        " && self.dcn.all(a, self.dcn.exists_one(b, a == b)))",
        "list each stage once, in rising order",
        ".dcn",
    )


def changes_something() -> Rule:
    """Deformable stages or a cascade are given."""
    return Rule(
        "(has(self.dcn) && self.dcn.size() > 0) || (has(self.cascade) && self.cascade)",
        "it changes nothing; give dcn, cascade: true, or both",
    )


def deformable_family(triples: str) -> Rule:
    """The student's family has convolutions that can be deformable.

    Args:
        triples: regular expression of an encoding whose blocks have three widths.
    """
    encoded = (
        f"(has(self.base.family) ? self.base.family in {_RIGID}"
        f" : !self.base.architecture.matches(r'{triples}'))"
    )
    rigid = (
        f"(has(self.base.model) ? self.base.model in {_RIGID_MODELS}"
        f" : has(self.base.architecture) && {encoded})"
    )
    return Rule(
        f"!{_DEFORMS} || !{rigid}",
        "finetune.upgrade.dcn: the blocks of this family have no convolution that mmdet makes "
        "deformable; Bottleneck and ResNeXt have",
    )


def cascade_once() -> Rule:
    """The base is no cascade already."""
    is_cascade = (
        "(has(self.detector) && has(self.detector.head) && self.detector.head == 'Cascade')"
    )
    message = "finetune.upgrade.cascade: the base is a cascade already"
    return Rule(f"!{_CASCADES} || !{is_cascade}", message)


def cascade_without_classes() -> Rule:
    """Boxes of each class are not compared under a cascade, which has one for all."""

    def is_class_aware(losses: str) -> str:
        weight = f"{losses}.localizationWeight"
        return (
            f"((!has({losses}.localization) || {losses}.localization == 'ClassAware')"
            f" && !(has({weight}) && {weight}.matches('^0+([.]0+)?$')))"
        )

    own = "self.finetune.distillation"
    compares = (
        f"(has({own}) ? {is_class_aware(own)}"
        f" : (!has(self.distillation) || {is_class_aware('self.distillation')}))"
    )
    return Rule(
        f"!{_CASCADES} || !{compares}",
        "finetune.upgrade.cascade: a cascade has one box for all classes, and the localization "
        "ClassAware compares those of each; set finetune.distillation.localization to Plain",
    )
