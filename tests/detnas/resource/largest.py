"""The largest status that a search can have: each text and list longer than it may be."""

from datetime import UTC, datetime
from typing import Any, get_args

from detnas.reasons import ConditionType
from detnas.resource.status import ResourceStatus

NOW = datetime(2026, 11, 22, 20, 30, 15, 999, tzinfo=UTC)
MANY = 2**53 - 1
TRIALS, PARALLELISM = 10_000, 1000
COUNTS = ("total", "finished", "active", "succeeded")
OUTCOMES = ("invalid", "out_of_memory", "diverged", "infrastructure")


def largest_status(character: str = "x") -> ResourceStatus:
    """A status of 10,000 trials, 1000 of them active, whose texts are all of one character."""
    text = character * 20_000
    detector: dict[str, Any] = {
        **dict.fromkeys(("h", "map", "h_error", "map_error", "estimated_h"), text),
        **dict.fromkeys(("test_h", "test_map", "test_h_error", "test_map_error"), text),
        **dict.fromkeys(("resolution", "encoding", "uri", "latency_ms"), text),
        **dict.fromkeys(("flops", "parameters", "trial"), MANY),
    }
    gain = {
        **dict.fromkeys(("gain", "gain_low", "gain_high"), text),
        "gain_on": "Validation",
        "gain_images": MANY,
    }
    job: dict[str, Any] = {
        **dict.fromkeys(("job", "verb", "activity", "loss"), text),
        **dict.fromkeys(("trial", "done", "total", "epoch", "epochs", "seconds_left"), MANY),
        "started": NOW,
    }
    top = {
        "trial": MANY,
        "h": text,
        "h_error": text,
        "estimated_h": text,
        "map": text,
        "flops": MANY,
        "resolution": text,
    }
    compared = {
        **dict.fromkeys(("name", "h", "map", "test_h", "test_map", "message"), text),
        **dict.fromkeys(("h_error", "map_error", "test_h_error", "test_map_error"), text),
        **dict.fromkeys(("lead", "lead_low", "lead_high"), text),
        "flops": MANY,
        "exported": True,
    }
    front = {
        **dict.fromkeys(("trial", "flops"), MANY),
        **dict.fromkeys(("detector", "map", "map_error", "resolution"), text),
    }
    recommended = {
        **dict.fromkeys(("trial", "flops"), MANY),
        **dict.fromkeys(
            ("objective", "detector", "resolution", "map", "latency_ms", "reason"), text
        ),
    }
    failure = {"trial": MANY, "outcome": "Infrastructure", "message": text}
    return ResourceStatus.model_validate(
        {
            "observed_generation": MANY,
            "phase": "TrainingTeachers",
            "conditions": [_condition(name, text) for name in get_args(ConditionType)],
            "trials": {**dict.fromkeys((*COUNTS, *OUTCOMES), MANY), "progress": text},
            "teachers": {"progress": text, "pool": text, "holder": text},
            **dict.fromkeys(("base", "best"), detector),
            "exported": {**detector, **gain, "gain_metric": "mAP", "is_base": True},
            "active": [job] * PARALLELISM,
            "compared": [compared] * PARALLELISM,
            "top": [top] * PARALLELISM,
            "front": [front] * TRIALS,
            "recommended": [recommended] * TRIALS,
            "failures": [failure] * TRIALS,
            **dict.fromkeys(
                ("folder", "flops_change", "latency_change", "gpu_hours", "image", "history"), text
            ),
            **dict.fromkeys(("lost_gpu_hours", "accepted_data_loss"), text),
            **dict.fromkeys(("seconds_left", "forgiven_trials"), MANY),
        }
    )


def _condition(name: str, text: str) -> dict[str, Any]:
    return {
        "type": name,
        "status": "Unknown",
        "observed_generation": MANY,
        "last_transition_time": NOW,
        "reason": text,
        "message": text,
    }
