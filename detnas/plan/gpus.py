"""How many GPUs a job uses."""

from detnas.records.verbs import Verb
from detnas.spec.manifest import SearchSpec


def gpus_of_pod(verb: Verb, spec: SearchSpec) -> int:
    """Return how many GPUs each pod of a job requests.

    Preparing reads files only. A baseline is trained as the student was last. A test is an
    evaluation. The export evaluates once more what it wrote, in one process.
    """
    if verb is Verb.BASE:
        return spec.base.gpus
    if verb is Verb.POOL:
        return spec.teachers.gpus_per_worker
    if verb in (Verb.EVALUATE, Verb.SUBNETS, Verb.EXTRACT, Verb.TEST):
        return spec.evaluation.gpus
    if verb in (Verb.FINETUNE, Verb.BASELINE):
        return spec.evaluation.gpus if spec.finetune is None else spec.finetune.gpus
    return min(1, spec.evaluation.gpus) if verb is Verb.EXPORT else 0


def gpus_on_one_machine(verb: Verb, spec: SearchSpec, available: int) -> int:
    """Return how many GPUs a job gets on a machine that has some.

    As many as its pods have together, or as there are, if they share its batch equally; else the
    most that do. 0 only if the manifest requests none.
    """
    pods = spec.teachers.workers if verb is Verb.POOL else 1
    wanted = min(pods * gpus_of_pod(verb, spec), available)
    batch = _batch_size(verb, spec)
    return max((n for n in range(1, wanted + 1) if batch % n == 0), default=0)


def _batch_size(verb: Verb, spec: SearchSpec) -> int:
    """Return the images of a step; 0 if the job trains nothing."""
    if verb is Verb.BASE:
        return spec.base.train.batch_size if spec.base.train else 0
    if verb is Verb.POOL:
        return spec.teachers.batch_size
    if verb in (Verb.FINETUNE, Verb.BASELINE) and spec.finetune is not None:
        return spec.finetune.batch_size
    # What only evaluates shares out images one by one.
    trains = verb in (Verb.EVALUATE, Verb.BASELINE)
    return spec.trial_training.batch_size if trains else 0
