"""Keys are read as they are written."""

from detnas.records import keys


def test_attempt_files_skips_what_is_no_attempts() -> None:
    job = "a/job"
    listed = [keys.attempt_key(job, 2), keys.log_key(job, 2), keys.progress_key(job, 10)]
    others = ["a/job/request.json", "a/job/attempts/x/log.txt", "a/job/attempts/3", "a/other/1/x"]
    found = keys.attempt_files(job, [*listed, *others])
    assert found == {2: {keys.ATTEMPT, keys.LOG}, 10: {keys.PROGRESS}}


def test_pool_phase_of_reads_the_phase_of_an_object() -> None:
    folder = keys.pool_phase_folder("n/pools/1", 12)
    assert keys.pool_phase_of("n/pools/1", keys.result_key(folder)) == 12
    assert keys.pool_phase_of("n/pools/1", keys.pool_lease_key("n/pools/1")) is None
