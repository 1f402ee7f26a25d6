"""What the manifest alone shows that an operator would refuse."""

from collections.abc import Iterator

from detnas.spec import SearchSpec
from detnas.spec.jobs import Jobs, KindFields

_SYSTEM_CLASSES = "system-"
_GPU = "/gpu"
_CLUSTER_SECTIONS = {"jobs", "limits", "deadlines", "suspend"}


def cluster_warnings(spec: SearchSpec) -> Iterator[str]:
    """Yield what an operator refuses, if the manifest has sections that only a cluster reads."""
    if not (_CLUSTER_SECTIONS & spec.model_fields_set or spec.dataset.source.on_cluster):
        return
    if not spec.dataset.source.on_cluster:
        yield (
            "spec.dataset.source names only a folder of one machine, which a cluster refuses; add "
            "persistentVolumeClaim or s3 for it"
        )
    for place, fields in _sections(spec.jobs):
        name = fields.priority_class_name
        if name and name.startswith(_SYSTEM_CLASSES):
            yield f"{place}.priorityClassName: {name} is refused on a cluster; name another class"
        devices = (fields.resources and fields.resources.extended) or ()
        for device in devices:
            if device.endswith(_GPU):
                yield (
                    f"{place}.resources.extended: {device} is refused on a cluster; GPUs have "
                    "fields of their own, such as spec.evaluation.gpus"
                )


def _sections(jobs: Jobs) -> Iterator[tuple[str, KindFields]]:
    yield "spec.jobs", jobs
    for name in Jobs.model_fields:
        if isinstance(fields := getattr(jobs, name), KindFields):
            yield f"spec.jobs.{name}", fields
