"""How many GPUs a job uses."""

from detnas.records.verbs import Verb
from detnas.spec.manifest import SearchSpec


def gpus_of_pod(verb: Verb, spec: SearchSpec) -> int:
    """Return how many GPUs each pod of a job requests.

    Preparing reads files only. The export evaluates once more what it wrote, in one process.
    """
    if verb is Verb.BASE:
        return spec.base.gpus
    if verb is Verb.POOL:
        return spec.teachers.gpus_per_worker
    if verb is Verb.EVALUATE:
        return spec.evaluation.gpus
    if verb is Verb.FINETUNE:
        return spec.evaluation.gpus if spec.finetune is None else spec.finetune.gpus
    return min(1, spec.evaluation.gpus) if verb is Verb.EXPORT else 0
