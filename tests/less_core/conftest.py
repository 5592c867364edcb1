"""Where artifacts are written in these tests: a local folder and an fsspec URL."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An address of its own for each test, not made yet."""
    if request.param == "local":
        yield str(tmp_path / "store")
        return
    root = f"memory://{uuid.uuid4().hex}"
    yield root
    file_system = fsspec.filesystem("memory")
    if file_system.exists(root):
        file_system.rm(root, recursive=True)
