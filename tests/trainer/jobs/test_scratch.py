import multiprocessing
import os
import signal
from pathlib import Path

from detnas_trainer.jobs.folder import scratch_folder


def test_it_goes_with_its_owner(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as mine, scratch_folder(tmp_path) as other:
        assert mine != other
        (mine / "file").write_text("on its way")
    assert list(tmp_path.iterdir()) == []


def _die_inside(parent: Path) -> None:
    with scratch_folder(parent) as folder:
        (folder / "file").write_text("left behind")
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_left_goes_and_a_living_ones_stays(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as mine:
        killed = multiprocessing.get_context("fork").Process(target=_die_inside, args=(tmp_path,))
        killed.start()
        killed.join()
        assert len(list(tmp_path.iterdir())) == 2
        with scratch_folder(tmp_path) as other:
            assert set(tmp_path.iterdir()) == {mine, other}
