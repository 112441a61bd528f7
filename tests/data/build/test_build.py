"""What a build records of itself."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import nsi_cli
from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.store.reader import open_store


def test_the_versions_of_the_libraries_that_make_a_store_are_recorded(
    numbered: Any, tmp_path: Path
) -> None:
    path = build_store(numbered(tmp_path / "raw"), "x", tmp_path / "out", BuildOptions(16))
    libraries = {name: version(name) for name in ("numpy", "pillow", "h5py")}
    assert open_store(path).build["versions"] == {"nsi-cli": nsi_cli.__version__, **libraries}


def test_the_options_of_the_builder_and_of_the_build_are_recorded(
    numbered: Any, tmp_path: Path
) -> None:
    options = BuildOptions(16, limit=7, recorded={"raw": "data-raw"})
    path = build_store(numbered(tmp_path / "raw"), "x", tmp_path / "out", options)
    assert open_store(path).build["options"] == {"raw": "data-raw", "image_size": 16, "limit": 7}
