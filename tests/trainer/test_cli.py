import subprocess
import sys
from pathlib import Path

import pytest

from detnas_trainer.cli import main


def test_help_names_every_verb_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    for verb in ("prepare", "base", "pool", "evaluate", "finetune", "export"):
        assert f"\n    {verb} " in text
    for code in ("0 ", "1 ", "2 ", "44", "75"):
        assert f"\n  {code} " in text


@pytest.mark.parametrize("arguments", [[], ["bake", "file:///x"], ["base"]])
def test_wrong_command_line_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


@pytest.mark.parametrize("uri", ["nowhere", "file:///nowhere-at-all/job"])
def test_wrong_uri_is_one_clear_line(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["base", uri])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert uri in printed.err
    assert "Traceback" not in printed.err


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\nfrom detnas_trainer.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: sys.exit(bool({'torch', 'mmdet', 'mmcv'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
