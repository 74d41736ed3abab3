"""Bundles of earlier versions, unpacked."""

import tarfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden_bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them, by the names of their commits; they are only read."""
    folder = tmp_path_factory.mktemp("golden")
    for path in Path(__file__).parent.glob("*.tar.xz"):
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    return folder
