"""The actions that only GitHub can run, and what stands in for each: all that is not run for real.

| Action                    | What stands in for it                                                 |
|---------------------------|-----------------------------------------------------------------------|
| actions/checkout          | `git clone` with the asked depth; no push without its credentials     |
| actions/setup-python      | the Python of the tests; the file with the version must be there      |
| actions/cache             | nothing is found; the files that its key hashes must be there         |
| azure/login               | needs `id-token: write` and the identity of the job's environment     |
| actions/upload-artifact   | copies the files and keeps their names; some must be there            |
| actions/download-artifact | puts them back; the artifact must be there                            |
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .platforms import IDENTITY

if TYPE_CHECKING:
    from .github_jobs import Job


class NotDone(Exception):
    """A stand-in refuses what the platform would refuse."""


def checkout(job: Job, given: dict[str, str]) -> dict[str, str]:
    """Clone the repository at the commit of the event, or at `ref`."""
    known = {"fetch-depth", "persist-credentials", "ref"}
    only(given, known)
    event, machine = job.event, job.platform.machine
    keeps = given.get("persist-credentials", "true") == "true"
    if job.run.permissions.get("contents") not in ("read", "write"):
        raise NotDone("checkout needs the permission `contents: read`")
    machine.check_out(
        given.get("ref") or event.commit,
        branch="" if event.kind == "pull_request" else event.branch,
        depth=int(given.get("fetch-depth", "1")),
        credentials=keeps and job.run.permissions.get("contents") == "write",
    )
    return {}


def setup_python(job: Job, given: dict[str, str]) -> dict[str, str]:
    """The Python of the tests is on the PATH already."""
    only(given, {"python-version-file", "python-version", "cache", "cache-dependency-path"})
    file = given.get("python-version-file")
    if not (given.get("python-version") or (file and (job.folder / file).is_file())):
        raise NotDone(f"there is no {file}")
    return {"python-version": "3"}


def cache(job: Job, given: dict[str, str]) -> dict[str, str]:
    """Nothing is found, as the first time."""
    only(given, {"path", "key", "restore-keys"})
    if not given.get("path") or not given.get("key"):
        raise NotDone("a cache needs a path and a key")
    return {"cache-hit": ""}


def login(job: Job, given: dict[str, str]) -> dict[str, str]:
    """Sign in to Azure by the token of the job."""
    only(given, {"client-id", "tenant-id", "subscription-id"})
    if job.run.permissions.get("id-token") != "write":
        raise NotDone("azure/login needs the permission `id-token: write`")
    names = {"AZURE_CLIENT_ID": "client-id", "AZURE_TENANT_ID": "tenant-id",
             "AZURE_SUBSCRIPTION_ID": "subscription-id"}  # fmt: skip
    for variable, name in names.items():
        if given.get(name) != IDENTITY[variable]:
            raise NotDone(f"{name} is `{given.get(name)}`, not the {variable} of the environment")
    if not job.run.environment:
        raise NotDone("Azure knows the tokens of the environments only: the job names none")
    job.run.signed_in = job.run.environment
    job.platform.sign_in(job.run.environment)
    return {}


def upload(job: Job, given: dict[str, str]) -> dict[str, str]:
    """Keep files."""
    only(given, {"name", "path", "retention-days", "if-no-files-found", "include-hidden-files",
                 "overwrite", "compression-level"})  # fmt: skip
    name, hidden = given.get("name", "artifact"), given.get("include-hidden-files") == "true"
    found = files_of(job.folder, given["path"].splitlines(), hidden)
    missing = given.get("if-no-files-found", "warn")
    if not found and missing == "error":
        raise NotDone(f"no files were found at {given['path']}")
    keep(job, name, found, int(given.get("retention-days", "90")), job.folder)
    return {}


def download(job: Job, given: dict[str, str]) -> dict[str, str]:
    """Put kept files back."""
    only(given, {"name", "path"})
    source = job.platform.machine.root / "artifacts" / given["name"]
    if not source.is_dir():
        raise NotDone(f"there is no artifact {given['name']}")
    shutil.copytree(source, job.folder / given.get("path", "."), dirs_exist_ok=True)
    return {}


def keep(job: Any, name: str, files: list[Path], days: int, base: Path) -> None:
    """Copy files to where artifacts are kept, and remember their names, seen from `base`."""
    assert name not in job.run.artifacts, f"there is an artifact {name} already"
    names = []
    for file in files:
        kept = file.relative_to(base) if file.is_relative_to(base) else Path(file.name)
        target = job.platform.machine.root / "artifacts" / name / kept
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
        names.append(kept.as_posix())
    if names:
        job.run.artifacts[name] = (tuple(names), days)


def files_of(folder: Path, patterns: list[str], hidden: bool) -> list[Path]:
    """The files that patterns name; those in hidden folders only if asked for."""
    found: set[Path] = set()
    for pattern in filter(None, map(str.strip, patterns)):
        if Path(pattern).is_absolute():
            start, pattern = Path("/"), pattern.lstrip("/")
        else:
            start = folder
        for path in start.glob(pattern.rstrip("/")):
            found |= {path} if path.is_file() else {p for p in path.rglob("*") if p.is_file()}

    def shown(file: Path) -> bool:
        parts = file.relative_to(folder).parts if file.is_relative_to(folder) else file.parts[-1:]
        return hidden or not any(part.startswith(".") for part in parts)

    return sorted(file for file in found if shown(file))


def only(given: dict[str, Any], known: set[str]) -> None:
    """Refuse inputs that a stand-in does not know."""
    if unknown := set(given) - known:
        raise NotDone(f"the stand-in does not know the inputs {', '.join(sorted(unknown))}")


ACTIONS: dict[str, Callable[[Job, dict[str, str]], dict[str, str]]] = {
    "actions/checkout": checkout,
    "actions/setup-python": setup_python,
    "actions/cache": cache,
    "azure/login": login,
    "actions/upload-artifact": upload,
    "actions/download-artifact": download,
}
