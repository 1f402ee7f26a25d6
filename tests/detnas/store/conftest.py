import uuid
from pathlib import Path

import pytest

from detnas.store import Store, open_store
from tests.seaweed import S3Server


@pytest.fixture
def directory_store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "a store").as_uri())


@pytest.fixture
def s3_store(s3_environment: S3Server) -> Store:
    return open_store(f"s3://{s3_environment.bucket}/{uuid.uuid4().hex}/experiments")


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each implementation in turn, empty."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found
