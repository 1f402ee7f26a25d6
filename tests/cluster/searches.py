"""Manifests of small searches, as a user would apply them."""

from typing import Any

from tests.cluster.api import Document

ENCODING = "[(16, 16)-(16, 16)], [(32, 32)-(32, 32)], [(64, 64)-(64, 64)], [(64, 64)]"
PHASES = [{"epochs": 1, "learningRate": "0.1"}, {"epochs": 1, "learningRate": "0.05"}]


def manifest(name: str, spec: dict[str, Any] | None = None, **search: Any) -> Document:
    """A search of six trials; `spec` replaces sections of it, keywords fields of `search`."""
    return {
        "apiVersion": "detnas.dev/v1alpha1",
        "kind": "DetNASSearch",
        "metadata": {"name": name},
        "spec": {
            "base": {"architecture": ENCODING, "stem": 16, "train": {"epochs": 1}},
            "dataset": {
                "source": {"persistentVolumeClaim": {"claimName": "data"}},
                "train": "t.json",
                "val": "v.json",
            },
            "resolutions": ["64x64", "128x128"],
            "teachers": {"phases": PHASES},
            "search": {"trials": 6, "topK": 2, "warmupTrials": 1, "seed": 3, **search},
            **(spec or {}),
        },
    }
