"""What a quota's refusal says, from the two sentences that the API server has for it."""

import pytest

from detnas_operator.job_state.quota import Exceeded, Unspecified, quota_advice, quota_refusal

COUNTED = (
    'jobs.batch "one-t0003" is forbidden: exceeded quota: team.small, requested: '
    "count/jobs.batch=1, used: count/jobs.batch=3, limited: count/jobs.batch=3"
)
GPUS = (
    'Error creating: pods "one-x" is forbidden: exceeded quota: gpus, requested: '
    "pods=1,requests.nvidia.com/gpu=4, used: pods=2,requests.nvidia.com/gpu=6, limited: "
    "pods=2,requests.nvidia.com/gpu=8"
)
BARE = (
    'pods "one-x" is forbidden: failed quota: compute: must specify limits.cpu for: trainer; '
    "limits.memory for: trainer,proxy"
)


@pytest.mark.parametrize(
    ("words", "found", "advice"),
    [
        (
            COUNTED,
            Exceeded("team.small", ("count/jobs.batch",)),
            "ResourceQuota team.small (count/jobs.batch) counts Jobs that have ended",
        ),
        (
            GPUS,
            Exceeded("gpus", ("pods", "requests.nvidia.com/gpu")),
            "ResourceQuota gpus is raised",
        ),
        (
            BARE,
            Unspecified("compute", ("limits.cpu", "limits.memory")),
            "takes only pods that set limits.cpu, limits.memory: set spec.jobs.resources",
        ),
    ],
)
def test_quota_refusal_names_the_quota_and_its_advice(
    words: str, found: Exceeded | Unspecified, advice: str
) -> None:
    refused = quota_refusal(words)
    assert refused == found
    assert advice in quota_advice(found)


@pytest.mark.parametrize("words", ["", "exceeded quota: limits", "denied by policy: quota"])
def test_quota_refusal_by_anything_else_is_none(words: str) -> None:
    assert quota_refusal(words) is None


def test_quota_refusal_counts_jobs_only_if_the_quota_does() -> None:
    counted, gpus = quota_refusal(COUNTED), quota_refusal(GPUS)
    assert isinstance(counted, Exceeded)
    assert counted.counts_jobs
    assert isinstance(gpus, Exceeded)
    assert not gpus.counts_jobs
