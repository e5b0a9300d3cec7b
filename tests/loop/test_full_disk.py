"""A disk that fills up: a clear error, the old state as it was, and success once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Loop, in_state


@pytest.fixture
def small_disk() -> Iterator[Loop]:
    """A trained project whose `.mlops` is a disk of its own."""
    for loop in in_state("trained"):
        state = loop.root / ".mlops"
        aside = state.rename(loop.root.parent / "mlops-aside")
        state.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(state)]
        try:
            done = subprocess.run(mount, capture_output=True)
        except OSError:
            done = None
        if os.geteuid() != 0 or done is None or done.returncode:
            shutil.rmtree(aside)
            pytest.skip("a disk can only be mounted by root")
        try:
            shutil.copytree(aside, state, dirs_exist_ok=True)
            yield loop
        finally:
            shutil.rmtree(aside)
            subprocess.run(["umount", "-l", str(state)], check=True)


def fill(disk: Path, *, leave: int) -> Path:
    """Fill a disk up to `leave` bytes."""
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free
    ballast.write_bytes(b"\0" * max(free - leave, 0))
    return ballast


@pytest.mark.parametrize("leave", [0, 150_000])
def test_a_full_disk_is_named_and_nothing_is_lost(small_disk: Loop, leave: int) -> None:
    before = small_disk.json("status")
    ballast = fill(small_disk.root / ".mlops", leave=leave)
    commands = (
        ("train", "--no-cache"),
        ("deploy", "--env", "dev"),
        ("promote", "--from", "dev"),
        ("score", "--input", "data/sample.parquet", "--output", "out.csv"),
    )
    for command in commands[:2] if leave else commands:
        failed = small_disk.run(*command, status=None)
        assert failed.returncode == 1, (command, failed.stderr)
        assert "the disk is full" in failed.stderr, (command, failed.stderr)
        assert "Traceback" not in failed.stderr, (command, failed.stderr)
    ballast.unlink()
    assert small_disk.versions() == [1]
    if not leave:
        assert small_disk.json("status") == before
    if leave:
        small_disk.run("deploy", "--env", "dev")
        assert small_disk.endpoint("dev")["deployments"]["version-1"]["tags"]
