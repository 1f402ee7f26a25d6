"""The DetNASSearch manifest, its defaults and its checks."""

from detnas.spec.explain import ManifestError, Problem
from detnas.spec.loading import load_manifest, read_manifest
from detnas.spec.manifest import DetNASSearch, SearchSpec

__all__ = [
    "DetNASSearch",
    "ManifestError",
    "Problem",
    "SearchSpec",
    "load_manifest",
    "read_manifest",
]
