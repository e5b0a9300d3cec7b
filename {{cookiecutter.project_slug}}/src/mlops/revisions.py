"""The project's files of this checkout, or of a commit, in a folder of their own.

The checkout, its index, its branches and its list of worktrees stay as they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from mlops.errors import MlopsError, UsageError

STATE = ".mlops"


class Unavailable(MlopsError):
    """There is no such commit here, or no project in it."""


def copy_checkout(root: Path, target: Path) -> None:
    """Copy a project as it is: what git tracks or would track, with uncommitted changes.

    Raises:
        UsageError: it lies in no git repository.
    """
    listed = _git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    if listed.returncode:
        raise UsageError(
            f"{root} is in no git repository that can be read ({_said(listed)}); "
            "run `git init` and commit the project first"
        )
    for name in dict.fromkeys(filter(None, os.fsdecode(listed.stdout).split("\0"))):
        source = root / name
        # A file that was deleted is still in the index; a submodule is a folder.
        if Path(name).parts[0] == STATE or not (source.is_symlink() or source.is_file()):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target / name, follow_symlinks=False)


def find_commit(root: Path, name: str) -> str:
    """The full hash of a commit.

    Raises:
        Unavailable: there is none, as a new branch has no commit before it.
        UsageError: it is not here; a shallow clone does not have every one.
    """
    if not name.strip("0"):
        raise Unavailable("there is no base to compare with: the branch is new")
    # A name that begins with a dash would be an option.
    found = _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if name.startswith("-") or found.returncode:
        shallow = _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
        advice = f"; it is a shallow clone: `git fetch origin {name}` first" if shallow else ""
        raise UsageError(f"there is no commit {name} in this repository{advice}")
    return found.stdout.decode().strip()


def copy_commit(root: Path, commit: str, target: Path) -> Path:
    """Write the files of a commit below `target`; where the project is in them.

    By an index of its own, so that `.gitattributes` leaves nothing out, as it would of an archive.

    Raises:
        Unavailable: the commit has no project there.
    """
    top = Path(os.fsdecode(_git(root, "rev-parse", "--show-toplevel").stdout.rstrip(b"\n")))
    target.mkdir(parents=True)
    index = {"GIT_INDEX_FILE": str(target.with_name(f"{target.name}.index"))}
    for arguments in (
        ["read-tree", commit],
        ["checkout-index", "--all", f"--prefix={target.as_posix()}/"],
    ):
        done = _git(top, *arguments, **index)
        if done.returncode:
            raise Unavailable(f"the files of {commit[:8]} cannot be read: {_said(done)}")
    project = target / root.resolve().relative_to(top.resolve())
    if not (project / "pyproject.toml").is_file():
        raise Unavailable(f"{commit[:8]} holds no project to compare with")
    return project


def _git(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=folder, env={**os.environ, **variables}, capture_output=True
        )
    except OSError:
        raise UsageError("git is not installed, and the files to compare are in it") from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
    return lines[0].removeprefix("fatal: ") if lines else f"git ended with {done.returncode}"
