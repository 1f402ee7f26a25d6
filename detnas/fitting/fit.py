"""Every value of a manifest that depends on the data set and the machine."""

from dataclasses import dataclass, field
from typing import Any

from detnas.fitting import budget, sizes
from detnas.fitting.budget import Batches, Lengths
from detnas.fitting.detectors import Chosen, detector, fraction, suitable_model
from detnas.fitting.machine import Machine
from detnas.own_data.facts import DataFacts
from detnas.records.settings import DetectorShape, Resolution


@dataclass(frozen=True)
class Wishes:
    """What the user chose.

    Attributes:
        name: of the search.
        hours: that it may take; None for half an hour on processors, a day on GPUs.
        model: the base; None for the one that suits data and machine.
        mirror: whether images may be mirrored; None to judge by the classes' names.
        backbone_weights: ImageNet weights of the backbone, if there are.
    """

    name: str
    hours: float | None = None
    model: str | None = None
    mirror: bool | None = None
    backbone_weights: str | None = None


@dataclass(frozen=True)
class Fit:
    """Everything that was decided.

    Attributes:
        chosen: the base and its pool.
        resolutions: smallest first.
        detector: fields of `spec.detector` beyond the base's own.
        hours: that were allowed.
        batch: images of a step.
        lengths: epochs and trials.
        machine: that it was fitted to.
        notes: what the user should know.
    """

    chosen: Chosen
    resolutions: tuple[Resolution, ...]
    detector: dict[str, Any]
    hours: float
    batch: Batches
    lengths: Lengths
    machine: Machine
    notes: tuple[str, ...] = field(default=())


def default_hours(machine: Machine) -> float:
    """Return the hours of a search for which none are named."""
    return 24.0 if machine.gpus else 0.5


def shape_of(
    facts: DataFacts, machine: Machine, wishes: Wishes
) -> tuple[Chosen, tuple[Resolution, ...], dict[str, Any]]:
    """Return base, resolutions and fields of `spec.detector`: what a step's time depends on."""
    chosen = detector(wishes.model or suitable_model(machine, facts))
    limits = sizes.ON_GPU if machine.gpus else sizes.ON_CPU
    resolutions = sizes.resolutions(facts, limits)
    fields: dict[str, Any] = {}
    if chosen.is_thin:
        count = sizes.proposals(facts)
        fields |= {"proposals": count, "roiSamples": min(512, max(64, count // 2))}
        fields["padDivisor"] = 16
    fields["anchorScale"] = sizes.anchor_scale(facts, resolutions[-1])
    ratios = sizes.anchor_ratios(facts)
    if len(ratios) > 3:
        fields["anchorRatios"] = [fraction(one) for one in ratios]
    return chosen, resolutions, fields


def fit(facts: DataFacts, machine: Machine, wishes: Wishes) -> Fit:
    """Decide every value of a manifest.

    Args:
        facts: of the data set.
        machine: that is to run the search.
        wishes: of the user.
    """
    chosen, resolutions, fields = shape_of(facts, machine, wishes)
    shape: DetectorShape = chosen.detector(fields)
    each = budget.pace(chosen, shape, len(facts.classes), resolutions, machine)
    batch = budget.batches(machine, facts)
    hours = wishes.hours if wishes.hours is not None else default_hours(machine)
    lengths = budget.fitted_lengths(facts, each, batch, hours)
    notes = []
    if lengths.seconds > 3600 * hours:
        notes.append(
            f"the shortest search that makes sense takes about {lengths.seconds / 3600:.1f} h on "
            f"{machine.name}, more than the {hours:g} h allowed; the manifest describes it"
        )
    return Fit(chosen, resolutions, fields, hours, batch, lengths, machine, tuple(notes))
