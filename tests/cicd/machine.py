"""A hosted machine: a fresh clone for each job, at the same place, and what outlives the jobs.

`.mlops` outlives them because it stands for Azure; `.venv` does as the platform's cache would, so that
the packages are installed once. A local workspace remembers absolute paths: so all clones lie at one
place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import GIT

from . import tools

# How this machine reaches its package registries is part of the machine.
KEPT_VARIABLES = ("PIP_", "UV_", "SSL_", "REQUESTS_", "HTTP", "NO_PROXY", "https_", "http_", "no_")
GIVEN = dict(os.environ)  # before any test changed it
OUTLIVES = (".mlops", ".venv")
SECONDS_AT_MOST = 900


class Machine:
    """A machine, and the repository that it clones from."""

    def __init__(self, root: Path, name: str) -> None:
        self.more: dict[str, str] = {}  # variables that the machine has besides
        self.root, self.folder = root, root / "work" / name / name
        self.kept, self.temp, self.home = root / "kept", root / "temp", root / "home"
        self.origin, self.tools = root / "origin.git", root / "tools"
        for folder in (self.folder, self.kept, self.temp, self.home):
            folder.mkdir(parents=True, exist_ok=True)
        tools.install(self.tools)

    # --- the repository --------------------------------------------------------------------------

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """Run git; what it said."""
        done = subprocess.run(
            [*GIT, *arguments], cwd=folder or self.origin, capture_output=True, text=True
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}\n{done.stderr}"
        return done.stdout.strip()

    def host(self, project: Path) -> None:
        """Host a committed project: the repository begins anew, and so does the state."""
        shutil.rmtree(self.origin, ignore_errors=True)
        shutil.rmtree(self.kept / ".mlops", ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.git("clone", "-q", "--bare", str(project), str(self.origin), folder=self.root)

    # --- a job -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """An empty machine for the next job; what outlives the last one is put aside."""
        for name in OUTLIVES:
            left = self.folder / name
            if left.exists():
                shutil.rmtree(self.kept / name, ignore_errors=True)
                left.rename(self.kept / name)
        for folder in (self.folder, self.temp, self.home):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    def check_out(self, commit: str, *, branch: str, depth: int, credentials: bool) -> None:
        """Clone the repository; without `credentials`, it cannot be pushed to.

        `depth` 0 is the whole history.
        """
        self.folder.rmdir()
        shallow = [f"--depth={depth}"] if depth else []
        address = self.origin.as_uri()
        self.git("clone", "-q", "--no-checkout", address, str(self.folder), folder=self.root)
        if shallow:
            shutil.rmtree(self.folder)
            self.git("init", "-q", str(self.folder), folder=self.root)
            self.git("remote", "add", "origin", address, folder=self.folder)
            self.git("fetch", "-q", *shallow, "origin", commit, folder=self.folder)
        where = ["-B", branch] if branch else ["--detach"]
        self.git("checkout", "-q", *where, commit, folder=self.folder)
        if not credentials:
            push = ["config", "remote.origin.pushurl", tools.NO_CREDENTIALS]
            self.git(*push, folder=self.folder)
        for name in OUTLIVES:
            if (self.kept / name).exists():
                (self.kept / name).rename(self.folder / name)
        for ready in (self.folder / ".venv").glob(".ready*"):
            ready.touch()  # `make` takes what was installed for newer than the clone

    def variables(self) -> dict[str, str]:
        """What the environment of every step begins with."""
        given = {k: v for k, v in GIVEN.items() if k.startswith(KEPT_VARIABLES)}
        return given | {
            "PATH": os.pathsep.join([str(self.tools), GIVEN["PATH"]]),
            "HOME": str(self.home), "LANG": "C.UTF-8", "TMPDIR": str(self.temp), "CI": "true",
            "UV_CACHE_DIR": GIVEN.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv")),
            "PIP_CACHE_DIR": GIVEN.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip")),
            "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true",
            "PLATFORM": str(self.root), "MLOPS_LOCAL": "1",
            **self.more,
        }  # fmt: skip

    def run(
        self, shell: list[str], script: str, folder: Path, environment: dict[str, str]
    ) -> tuple[int, str, float]:
        """Run a script as a platform does: from a file; its exit status, output and seconds."""
        file = self.temp / f"step-{time.monotonic_ns()}.sh"
        file.write_text(script, encoding="utf-8")
        started = time.monotonic()
        done = subprocess.run(
            [*shell, str(file)], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            timeout=SECONDS_AT_MOST,
        )  # fmt: skip
        return done.returncode, done.stdout, time.monotonic() - started

    # --- states ----------------------------------------------------------------------------------

    def save(self, copy: Path) -> Path:
        """Keep a copy of what the jobs so far have left; the copy."""
        self.begin()
        for name in ("origin.git", "kept/.mlops"):
            if (self.root / name).exists():
                shutil.copytree(self.root / name, copy / name, symlinks=True)
        shutil.copy2(self.root / "state.json", copy / "state.json")
        return copy

    def restore(self, copy: Path) -> None:
        """Put such a copy back, as if nothing had happened since."""
        self.begin()
        for name in ("origin.git", "kept/.mlops"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            if (copy / name).exists():
                shutil.copytree(copy / name, self.root / name, symlinks=True)
        shutil.copy2(copy / "state.json", self.root / "state.json")


def give_packages(machine: Machine) -> None:
    """Give a machine the packages that the tests have, as its cache would.

    They are links to the same files: an installation over them replaces links. Only the project
    itself is left to install, by its own commands.
    """
    target = machine.kept / ".venv"
    if target.exists():
        return
    source, python = Path(sys.prefix), f"python{sys.version_info[0]}.{sys.version_info[1]}"
    base = Path(sys.base_prefix) / "bin" / "python3"
    subprocess.run([str(base), "-m", "venv", "--without-pip", str(target)], check=True)
    libraries = Path("lib") / python / "site-packages"
    shutil.rmtree(target / libraries)
    shutil.copytree(
        source / libraries, target / libraries, symlinks=True, copy_function=_link_or_copy
    )
    final = machine.folder / ".venv" / "bin" / "python"
    for program in (source / "bin").iterdir():
        copy = target / "bin" / program.name
        if copy.exists() or program.is_symlink() or not program.is_file():
            continue
        text = program.read_bytes()
        own = str(source / "bin" / "python").encode()
        if text.startswith(b"#!" + own):
            _, _, rest = text.partition(b"\n")
            copy.write_bytes(b"#!" + str(final).encode() + b"\n" + rest)
            copy.chmod(0o755)
        else:
            _link_or_copy(str(program), str(copy))


def _link_or_copy(source: str, target: str) -> None:
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copy2(source, target)
