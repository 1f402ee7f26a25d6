"""A Kubernetes control plane and its tools, built from source once a machine, for the tests."""

from tools.kubernetes.binaries import ALL, CONTROL_PLANE, EXTENSIONS, NODE, cache_folder, find
from tools.kubernetes.building import GoMissing, obtain, obtain_for_tests

__all__ = [
    "ALL",
    "CONTROL_PLANE",
    "EXTENSIONS",
    "NODE",
    "GoMissing",
    "cache_folder",
    "find",
    "obtain",
    "obtain_for_tests",
]
