"""Which programs there are, what they are built from, and where the built ones are.

The variable `KUBERNETES_VERSION` chooses one of `RELEASES`. Where it is not set, the folder that
`KUBEBUILDER_ASSETS` names is searched first, as other Kubernetes projects do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT = "1.34"
RELEASES: Mapping[str, tuple[str, str]] = {
    "1.34": ("v1.34.2", "kubernetes"),
    "1.37": ("v1.37.0", "kubernetes-1.37"),
}
"""By minor version: the release, and the folder in `modules/` that pins what it is built from."""
CHOSEN = os.environ.get("KUBERNETES_VERSION", "")
if CHOSEN and CHOSEN not in RELEASES:
    raise SystemExit(f"✗ KUBERNETES_VERSION={CHOSEN}: there are {', '.join(RELEASES)}")
KUBERNETES, _MODULE = RELEASES[CHOSEN or DEFAULT]
HELM = "v3.19.2"
MODULES = Path(__file__).parent / "modules"


@dataclass(frozen=True, slots=True)
class Binary:
    """A program, by the Go package of its main function.

    Attributes:
        module: the folder in `modules/` whose go.mod and go.sum pin what it is built from.
        core_seconds: time of one core for a build from nothing, as measured.
        variables: strings set when it is linked: package.name to value.
        installation: folder of its module that `kubectl kustomize` makes into the objects that
            install it, kept beside it as `<name>.yaml`; empty where there is none.
    """

    package: str
    module: str
    core_seconds: int
    variables: Mapping[str, str] = field(default_factory=dict)
    installation: str = ""


_, _MINOR, _ = KUBERNETES.split(".")
_VERSION = {
    "k8s.io/component-base/version.gitVersion": KUBERNETES,
    "k8s.io/component-base/version.gitMajor": "1",
    "k8s.io/component-base/version.gitMinor": _MINOR,
}
# Without these helm renders charts for Kubernetes 1.20.
_HELM_VERSION = {
    "helm.sh/helm/v3/internal/version.version": HELM,
    "helm.sh/helm/v3/internal/version.metadata": "",
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor": "1",
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": _MINOR,
    "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor": "1",
    "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor": _MINOR,
}


def _kubernetes(name: str, core_seconds: int) -> Binary:
    return Binary(f"k8s.io/kubernetes/cmd/{name}", _MODULE, core_seconds, _VERSION)


# In the order of building: a later one reuses the packages that an earlier one compiled.
CONTROL_PLANE: Mapping[str, Binary] = {
    "etcd": Binary("go.etcd.io/etcd/server/v3", _MODULE, 90),
    "kube-apiserver": _kubernetes("kube-apiserver", 430),
    "kube-controller-manager": _kubernetes("kube-controller-manager", 100),
    "kubectl": _kubernetes("kubectl", 40),
    "helm": Binary("helm.sh/helm/v3/cmd/helm", "helm", 110, _HELM_VERSION),
    "kubeconform": Binary("github.com/yannh/kubeconform/cmd/kubeconform", "kubeconform", 20),
}
EXTENSIONS: Mapping[str, Binary] = {
    "kueue": Binary("sigs.k8s.io/kueue/cmd/kueue", "kueue", 430, installation="config/default"),
    "jobset": Binary("sigs.k8s.io/jobset", "jobset", 180, installation="config/default"),
}
NODE: Mapping[str, Binary] = {
    "kubelet": _kubernetes("kubelet", 30),
    "kube-scheduler": _kubernetes("kube-scheduler", 10),
    "kube-proxy": _kubernetes("kube-proxy", 20),
    "coredns": Binary("github.com/coredns/coredns", "coredns", 190),
}
ALL: Mapping[str, Binary] = {**CONTROL_PLANE, **EXTENSIONS, **NODE}


def cache_folder() -> Path:
    """Where built programs are kept."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "detnas" / "kubernetes" / KUBERNETES


def find(name: str) -> Path | None:
    """The program `name`: from `KUBEBUILDER_ASSETS`, else the built one; None if neither has it.

    Of a version that was requested only the built one will do.
    """
    folders = [cache_folder()]
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given and not CHOSEN:
        folders.insert(0, Path(given).absolute())
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return folder / name
    return None
