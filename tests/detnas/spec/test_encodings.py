"""Manifests as editors save them."""

from pathlib import Path

import pytest

from detnas.spec import ManifestError, load_manifest

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits" / "search.yaml"


@pytest.fixture
def text() -> str:
    return "# Würfel → Kreis\n" + EXAMPLE.read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_manifest_from_windows_is_read_equally(
    tmp_path: Path, text: str, encoding: str, line_end: str
) -> None:
    path = tmp_path / "search.yaml"
    path.write_bytes(text.replace("\n", line_end).encode(encoding))
    assert load_manifest(path) == load_manifest(EXAMPLE)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_manifest_that_is_not_utf_8_is_refused(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "search.yaml"
    path.write_bytes(text.replace("→", "zu").encode(encoding))
    with pytest.raises(ManifestError) as refused:
        load_manifest(path)
    assert str(path) in str(refused.value)
    assert "not UTF-8 text" in str(refused.value)
    assert "save it as UTF-8" in str(refused.value)
