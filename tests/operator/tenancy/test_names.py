"""No name of a search makes its Jobs those of another; what is another's is left alone."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as some

from detnas.plan.stages import DueJob, Verb
from detnas_operator.job.names import job_name, service_name
from tests.cluster.api import JOBS, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import install
from tests.cluster.jobs import job
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.waiting import eventually
from tests.operator.tenancy.scene import apply, condition
from tests.seaweed import S3Server

TRICKY = (
    "a", "a-t0001", "a-t", "a-pool", "a-pool-0", "a-base", "a-prepare", "a-export", "a-finetune",
    "a-finetune-0012", "a-export-0012", "a-t0001-t0001", "x" * 48, "x" * 47 + "-",
)  # fmt: skip
NAMES = some.one_of(
    some.sampled_from([name.rstrip("-") for name in TRICKY]),
    some.from_regex(r"[a-z]([-a-z0-9]{0,46}[a-z0-9])?", fullmatch=True),
)
DUE = some.builds(DueJob, some.sampled_from(Verb), some.integers(0, 10**7))
FOLDERS = some.sampled_from(["s/trials/0001", "s/finetune", "s/finetune-0012", "s/students/best"])


@given(one=NAMES, other=NAMES, due=DUE, other_due=DUE, folder=FOLDERS, other_folder=FOLDERS)
def test_jobs_of_two_searches_never_share_a_name(
    one: str, other: str, due: DueJob, other_due: DueJob, folder: str, other_folder: str
) -> None:
    if one == other:
        return
    name = job_name(one, due, folder)
    assert name != job_name(other, other_due, other_folder)
    assert len(name) <= 63
    assert service_name(one) != service_name(other)


def test_a_job_of_somebody_else_is_waited_for_and_never_touched(
    cluster: ControlPlane,
    s3_server: S3Server,
    namespace: str,
    operators: Callable[..., OperatorProcess],
) -> None:
    ours = {
        "app.kubernetes.io/managed-by": "detnas",
        "detnas.dev/search": "one",
        "detnas.dev/verb": "prepare",
        "detnas.dev/number": "0",
    }
    installation = install(cluster, s3_server, [namespace])
    operator = operators(installation, settings={"resyncSeconds": 1})
    operator.start()
    made = [
        cluster.api.create(job("one-prepare"), namespace),
        cluster.api.create(job("one-base", ours), namespace),  # with all of our labels
    ]
    apply(cluster, namespace, "one")

    def said() -> Document | None:
        found = condition(cluster, namespace, "one", "Degraded")
        return found if found.get("reason") == "NameTaken" else None

    found = eventually(said)
    assert found is not None
    assert "one-prepare" in found["message"]
    cluster.api.delete("apis/detnas.dev/v1alpha1/detnassearches", namespace, "one")
    eventually(lambda: operator.figure("detnas_queue_keys") == 0)
    for before in made:
        left = cluster.api.get(JOBS, namespace, before["metadata"]["name"])
        assert left["spec"] == before["spec"]
        assert left["metadata"].get("labels") == before["metadata"].get("labels")
