"""What a Job is created from: its search, the due job, and its folder."""

from dataclasses import dataclass

from detnas.plan.gpus import gpus_of_pod
from detnas.plan.stages import JobId
from detnas.records.verbs import Verb
from detnas.spec.manifest import SearchSpec
from detnas_operator.job.names import job_name


@dataclass(frozen=True, slots=True)
class Owner:
    """The search a Job belongs to, as the API server knows it."""

    name: str
    namespace: str
    uid: str


@dataclass(frozen=True, slots=True)
class JobOrder:
    """One Job to create.

    Attributes:
        owner: the search.
        job_id: which job of the search it is.
        folder: key of its folder; the request is stored there already.
        store: URI of the store's root, without a trailing slash.
        spec: of the search.
        image: of the trainer, pinned when the search was accepted.
    """

    owner: Owner
    job_id: JobId
    folder: str
    store: str
    spec: SearchSpec
    image: str

    @property
    def name(self) -> str:
        """Name of the Job."""
        return job_name(self.owner.name, self.job_id, self.folder)

    @property
    def uri(self) -> str:
        """URI of the job's folder: the only argument of its command."""
        return f"{self.store}/{self.folder}"

    @property
    def workers(self) -> int:
        """Pods that work on it concurrently."""
        return self.spec.teachers.workers if self.job_id.verb is Verb.POOL else 1

    @property
    def gpus(self) -> int:
        """GPUs of each pod."""
        return gpus_of_pod(self.job_id.verb, self.spec)

    @property
    def deadline(self) -> int | None:
        """Seconds after which the Job is ended; None for no limit."""
        deadlines = self.spec.deadlines
        return {
            Verb.PREPARE: deadlines.prepare,
            Verb.BASE: deadlines.base,
            Verb.POOL: deadlines.pool_phase,
            Verb.EVALUATE: deadlines.trial,
            Verb.SUBNETS: deadlines.trial,
            Verb.EXTRACT: deadlines.trial,
            Verb.FINETUNE: deadlines.finetune,
            Verb.BASELINE: deadlines.baseline,
            Verb.TEST: deadlines.test,
            Verb.EXPORT: deadlines.export,
        }[self.job_id.verb]
