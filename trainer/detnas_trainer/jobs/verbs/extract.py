"""The extract job: take one subnet out of the pool as a detector of its own, and score it."""

from detnas.records.requests import ExtractRequest
from detnas.records.results import DetectorResult
from detnas_trainer.jobs.job import Job
from detnas_trainer.jobs.verbs.relative_latency import relative_latencies
from detnas_trainer.jobs.verbs.scoring import detector_result
from detnas_trainer.jobs.verbs.teacher import (
    on_device,
    own_detector,
    statistics_batches,
    subnet_form,
)
from detnas_trainer.jobs.verbs.training import TrainingSummary, load_data


def extract(job: Job[ExtractRequest]) -> DetectorResult:
    """Evaluate the subnet at every resolution, and publish its weights.

    They depend on (pool, subnet) only, and so do its batch norm statistics.
    """
    pool, subnet = job.request.pool, job.request.subnet
    data = load_data(job)
    with job.activity("loading"):
        state = on_device(job.fetch(pool.weights).state)
    architecture, shape = subnet_form(job.request, pool, subnet)
    latencies = relative_latencies(job, architecture, shape, data.val)
    samples = statistics_batches(job.request, pool.seed, pool.bn_images, data.train)
    detector = own_detector(job, state, pool, subnet, samples)
    return detector_result(
        job,
        detector,
        data.val,
        TrainingSummary(),
        architecture=architecture,
        latencies=latencies,
    )
