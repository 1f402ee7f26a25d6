"""No name of a search makes its Jobs those of another; what is another's is left alone."""

from hypothesis import given
from hypothesis import strategies as some

from detnas.plan.stages import JobId
from detnas.records.verbs import Verb
from detnas_operator.job.names import job_name, service_name
from tests.cluster.api import JOBS
from tests.cluster.jobs import job
from tests.cluster.waiting import eventually
from tests.operator.harness.fixtures import MakeHarness

TRICKY = (
    "a", "a-t0001", "a-t", "a-pool", "a-pool-0", "a-base", "a-prepare", "a-export", "a-finetune",
    "a-finetune-0012", "a-export-0012", "a-t0001-t0001", "x" * 48, "x" * 47 + "-",
)  # fmt: skip
NAMES = some.one_of(
    some.sampled_from([name.rstrip("-") for name in TRICKY]),
    some.from_regex(r"[a-z]([-a-z0-9]{0,46}[a-z0-9])?", fullmatch=True),
)
DUE = some.builds(JobId, some.sampled_from(Verb), some.integers(0, 10**7))
FOLDERS = some.sampled_from(["s/trials/0001", "s/finetune", "s/finetune-0012", "s/students/best"])


@given(one=NAMES, other=NAMES, job_id=DUE, other_due=DUE, folder=FOLDERS, other_folder=FOLDERS)
def test_job_names_of_two_searches_never_collide(
    one: str, other: str, job_id: JobId, other_due: JobId, folder: str, other_folder: str
) -> None:
    if one == other:
        return
    name = job_name(one, job_id, folder)
    assert name != job_name(other, other_due, other_folder)
    assert len(name) <= 63
    assert service_name(one) != service_name(other)


def test_foreign_job_that_has_the_name_is_waited_for_and_never_touched(
    make_harness: MakeHarness, namespace: str
) -> None:
    ours = {
        "app.kubernetes.io/managed-by": "detnas",
        "detnas.dev/search": "one",
        "detnas.dev/verb": "prepare",
        "detnas.dev/number": "0",
    }
    harness = make_harness([namespace], settings={"resyncSeconds": 1})
    harness.operator.start()
    api = harness.cluster.api
    made = [
        api.create(job("one-prepare"), namespace),
        api.create(job("one-base", ours), namespace),  # with all of our labels
    ]
    search = harness.begin("one", namespace=namespace)
    assert "one-prepare" in search.until_condition("Degraded", "True", "NameTaken")["message"]
    search.delete()
    eventually(lambda: harness.operator.figure("detnas_queue_keys") == 0)
    for before in made:
        left = api.get(JOBS, namespace, before["metadata"]["name"])
        assert left["spec"] == before["spec"]
        assert left["metadata"].get("labels") == before["metadata"].get("labels")
