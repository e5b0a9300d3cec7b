"""The tasks that only Azure Pipelines can run, and what stands in for each.

| Task                    | What stands in for it                                                   |
|-------------------------|-------------------------------------------------------------------------|
| checkout                | `git clone` with the asked depth; no push without its credentials       |
| UsePythonVersion@0      | the Python of the tests; a version must be named                        |
| Cache@2                 | nothing is found; the files that its key names must be there            |
| CopyFiles@2             | copies the files that its patterns name                                 |
| PublishPipelineArtifact | copies the files and keeps their names; some must be there              |

AzureCLI@2 is no stand-in: its script is run, with the double of `az` signed in by the service
connection, which must be one that `mlops connect` makes.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .github_actions import NotDone, keep, only

if TYPE_CHECKING:
    from .azure_jobs import Job


def checkout(job: Job, step: dict[str, str]) -> None:
    """Clone the repository at the commit of the event, on no branch."""
    only(
        step, {"checkout", "fetchDepth", "persistCredentials", "displayName", "clean", "condition"}
    )
    if step["checkout"] == "none":
        return
    if step["checkout"] != "self" or "fetchDepth" not in step:
        raise NotDone("which depth a checkout has is a setting of the pipeline: name fetchDepth")
    job.platform.machine.check_out(
        job.event.commit, branch="", depth=int(step["fetchDepth"]),
        credentials=str(step.get("persistCredentials")).lower() == "true",
    )  # fmt: skip


def use_python(job: Job, given: dict[str, str]) -> None:
    """The Python of the tests is on the PATH already."""
    only(given, {"versionSpec"})
    if not re.fullmatch(r"3\.\d+", given["versionSpec"]):
        raise NotDone(f"there is no Python {given['versionSpec']}")


def cache(job: Job, given: dict[str, str]) -> None:
    """Nothing is found, as the first time."""
    only(given, {"key", "path", "restoreKeys", "cacheHitVar"})
    for segment in map(str.strip, given["key"].split("|")):
        quoted = re.fullmatch(r'"[^"]*"', segment)
        if not quoted and not (job.folder / segment).is_file():
            raise NotDone(f"the key of the cache names {segment}, which is no file")


def copy_files(job: Job, given: dict[str, str]) -> None:
    """Copy files, hidden ones too."""
    only(given, {"SourceFolder", "Contents", "TargetFolder"})
    source = job.folder / given["SourceFolder"]
    if not source.is_dir():
        raise NotDone(f"Not found SourceFolder: {source}")
    for pattern in given["Contents"].split():
        for file in source.glob(pattern if not pattern.endswith("**") else f"{pattern}/*"):
            if file.is_file():
                target = Path(given["TargetFolder"]) / file.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)


def publish(job: Job, given: dict[str, str]) -> None:
    """Keep a file, or the files of a folder."""
    only(given, {"targetPath", "artifact", "artifactName", "publishLocation"})
    target = job.folder / given["targetPath"]
    if not target.exists():
        raise NotDone(f"Path does not exist: {given['targetPath']}")
    files = [target] if target.is_file() else sorted(p for p in target.rglob("*") if p.is_file())
    base = target if target.is_dir() else target.parent
    keep(job, given.get("artifact") or given["artifactName"], files, 0, base)


TASKS: dict[str, Callable[[Job, dict[str, str]], None]] = {
    "UsePythonVersion@0": use_python,
    "Cache@2": cache,
    "CopyFiles@2": copy_files,
    "PublishPipelineArtifact@1": publish,
}
