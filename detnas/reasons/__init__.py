"""Reasons of conditions and events: the one list of them, with severity and documentation."""

from detnas.reasons.categories import NEEDS_ATTENTION, Category, ConditionType
from detnas.reasons.codes import ReasonCode
from detnas.reasons.reason import Reason

__all__ = ["NEEDS_ATTENTION", "Category", "ConditionType", "Reason", "ReasonCode"]
