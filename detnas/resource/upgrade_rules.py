"""Rules on the upgrade of the best student, as `Upgrade` and `SearchSpec` validate it, in CEL."""

from detnas.architecture.blocks import FAMILIES
from detnas.resource.rule import Rule
from detnas.spec.base import Model, model_architecture

_UPGRADE = "self.finetune.upgrade"
_HAS_UPGRADE = "has(self.finetune) && has(self.finetune.upgrade)"
_DEFORMS = f"({_HAS_UPGRADE} && has({_UPGRADE}.dcn) && {_UPGRADE}.dcn.size() > 0)"
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
    """Deformable stages are given."""
    return Rule(
        "has(self.dcn) && self.dcn.size() > 0",
        "it changes nothing; give dcn",
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
