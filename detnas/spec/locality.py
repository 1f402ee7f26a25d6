"""What a manifest must not leave out, or say, to run on one machine."""

from detnas.spec.explain import Problem
from detnas.spec.manifest import SearchSpec


def problems_on_one_machine(spec: SearchSpec) -> tuple[Problem, ...]:
    """Return why `detnas run` can not run a search that a cluster may well run."""
    problems: list[Problem] = []
    if spec.dataset.source.directory is None:
        said = (
            "missing; a volume or a bucket serves a cluster only, so name a folder of this machine"
        )
        problems.append(Problem("spec.dataset.source.directory", said))
    if spec.warm_start is not None:
        said = "only a cluster goes on from another search; leave it out here"
        problems.append(Problem("spec.warmStart", said))
    if spec.teachers.pool is not None:
        said = "only a cluster takes a pool by its address; left out, an equal one is found"
        problems.append(Problem("spec.teachers.pool", said))
    return tuple(problems)
