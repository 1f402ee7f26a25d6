"""What a base image has no use for goes, and nothing else."""

from pathlib import Path

from tools.node.images import empty


def test_emptied_folder_keeps_targets_of_its_links(tmp_path: Path) -> None:
    folder, outside = tmp_path / "doc", tmp_path / "outside"
    (folder / "package").mkdir(parents=True)
    outside.mkdir()
    for file in (folder / "package/copyright", folder / "README", outside / "kept"):
        file.touch()
    (folder / "linked").symlink_to(outside)
    (folder / "dangling").symlink_to("nowhere")
    empty(folder)
    assert list(folder.iterdir()) == []
    assert (outside / "kept").exists()
