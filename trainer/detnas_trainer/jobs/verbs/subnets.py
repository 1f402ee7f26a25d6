"""The subnets job: what subnets of the pool reach as they are, without training (paper, F)."""

from detnas.records import keys
from detnas.records.requests import SubnetsRequest
from detnas.records.results import EvaluatedSubnets, SubnetScore, SubnetsResult
from detnas.store.artifacts import load_record, put_record
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.verbs.relative_latency import relative_latencies, with_latencies
from detnas_trainer.jobs.verbs.scoring import subnet_score
from detnas_trainer.jobs.verbs.teacher import (
    on_device,
    own_detector,
    statistics_batches,
    subnet_form,
)
from detnas_trainer.jobs.verbs.training import load_data
from detnas_trainer.ranks.group import from_first, is_first


def subnets(job: Job[SubnetsRequest]) -> SubnetsResult:
    """Evaluate each subnet at every resolution, from the first that no earlier attempt evaluated.

    Each has its own batch norm statistics, which depend on (pool, subnet) only.

    Raises:
        Interrupted: the process was asked to stop.
    """
    request, pool = job.request, job.request.pool
    data = load_data(job)
    scores = list(_earlier(job))
    left = len(request.subnets) - len(scores)
    job.remaining.evaluating = left * len(data.val) * sum(r.pixels for r in request.resolutions)
    with job.activity("loading"):
        state = on_device(job.fetch(pool.weights).state)
    with data.val.lasting_workers():
        for subnet in request.subnets[len(scores) :]:
            samples = statistics_batches(request, pool.seed, pool.bn_images, data.train)
            detector = own_detector(job, state, pool, subnet, samples)
            name = f"trial {request.first + len(scores)}"
            latencies = relative_latencies(job, *subnet_form(request, pool, subnet), data.val)
            found = subnet_score(job, detector, data.val, request.resolutions, name, subnet)
            timed = with_latencies(found.scores, latencies)
            scores.append(found.model_copy(update={"scores": timed}))
            _save(job, scores)
    return job.result(SubnetsResult, subnets=tuple(scores))


def _earlier(job: Job[SubnetsRequest]) -> tuple[SubnetScore, ...]:
    """What the last attempt that evaluated any subnet, and those before it, have found."""
    found = from_first(lambda: _newest(job))
    if found is None:
        return ()
    job.activities.add(found.seconds)
    log.info("%d of %d subnets are evaluated", len(found.subnets), len(job.request.subnets))
    return found.subnets


def _newest(job: Job[SubnetsRequest]) -> EvaluatedSubnets | None:
    store, folder = job.folder.store, job.folder.key
    listed = store.list(f"{keys.attempts_folder(folder)}/")
    for attempt in sorted(keys.attempt_files(folder, listed), reverse=True):
        found = load_record(store, keys.subnet_scores_key(folder, attempt), EvaluatedSubnets)
        if found is not None:
            return found
    return None


def _save(job: Job[SubnetsRequest], scores: list[SubnetScore]) -> None:
    if is_first():
        key = keys.subnet_scores_key(job.folder.key, job.attempt.number)
        seconds = {name: round(s, 3) for name, s in job.activities.seconds().items()}
        put_record(job.folder.store, key, EvaluatedSubnets(subnets=tuple(scores), seconds=seconds))
