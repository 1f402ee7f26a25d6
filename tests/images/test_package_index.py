"""How this machine's package index reaches the build of an image."""

import configparser
from pathlib import Path

import pytest

from tools.node import images

LISTED = """\
:env:.cert='/elsewhere/ca.pem'
:env:.find-links='/opt/wheels'
:env:.index-url='https://mirror.test/env'
global.extra-index-url='https://one.test\\nhttps://two.test'
global.index-url='https://mirror.test/global'
install.timeout='60'
user.username='somebody'
"""


def written(listed: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read_string(images.pip_settings(listed))
    return dict(parser["global"])


def test_package_index_in_the_environment_takes_precedence() -> None:
    assert written(LISTED)["index-url"] == "https://mirror.test/env"
    reversed_order = "\n".join(reversed(LISTED.splitlines()))
    assert written(reversed_order)["index-url"] == "https://mirror.test/env"


def test_package_index_passes_several_indexes() -> None:
    assert written(LISTED)["extra-index-url"].split() == ["https://one.test", "https://two.test"]


def test_package_index_omits_other_settings() -> None:
    assert not {"find-links", "username"} & set(written(LISTED))
    assert written(LISTED)["timeout"] == "60"


def test_package_index_names_certificates_within_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "ca-certificates.crt"
    bundle.touch()
    monkeypatch.setattr(images, "CERTIFICATES", bundle)
    assert written(LISTED)["cert"] == str(bundle)
    monkeypatch.setattr(images, "CERTIFICATES", tmp_path / "none")
    assert "cert" not in written(LISTED)
