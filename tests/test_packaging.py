"""What is released: the source distribution, and a wheel that is built from it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_of_the_source_distribution_is_whole(tmp_path: Path) -> None:
    """The header of the C++ source must be in the source distribution, else pip would leave the compiled loops out."""
    copy = tmp_path / "checkout"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    build = "from setuptools.build_meta import build_sdist; print(build_sdist('dist'))"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (source,) = (copy / "dist").glob("*.tar.gz")
    with tarfile.open(source) as archive:
        assert any(name.endswith("kmeans/_lloyd.h") for name in archive.getnames())
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "wheels",
    ]
    subprocess.run([*pip, str(source)], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    check = subprocess.run(
        [sys.executable, str(ROOT / ".ci/check_wheel.py"), str(wheel)], check=False, capture_output=True, text=True
    )
    assert check.returncode == 0, check.stderr
    assert "nothing is missing" in check.stdout
