"""Generated projects whose environments lie in the stand-in's subscription."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mlops.pipeline_checks import load_pipeline
from mlops.project import find_project
from mlops.workspaces import Job, ModelVersion, Report
from mlops.workspaces.azure.workspace import AzureWorkspace
from mlops.workspaces.local.workspace import LocalWorkspace
from mlops.workspaces.registry import digest_version
from tests.azure.conftest import Azure
from tests.conftest import SCRATCH, copy_of, generated, run_mlops


class AzureProject:
    """A project with the environments dev and prod, and what its commands say."""

    def __init__(self, root: Path, azure: Azure) -> None:
        self.root, self.azure = root, azure

    def run(self, *arguments: str, status: int = 0, **variables: str) -> str:
        """Run a command; what it wrote, to both outputs."""
        done = run_mlops(self.root, *arguments, status=status, **variables)
        return done.stdout + done.stderr

    def answer(self, *arguments: str, status: int = 0) -> Any:
        """Run a command; its answer in JSON, which is all that stands on standard output."""
        return json.loads(run_mlops(self.root, *arguments, "--json", status=status).stdout)

    def workspace(self, environment: str) -> AzureWorkspace:
        """The workspace of an environment, in this process."""
        project = find_project(self.root)
        return AzureWorkspace(project, project.environment(environment))


def make_project(azure: Azure, folder: Path, **answers: str) -> AzureProject:
    """A project, with its workspaces and its registry in the stand-in."""
    answers = {
        "azure_subscription_id": azure.subscription, "azure_tenant_id": azure.tenant,
        "environments": "dev-prod", **answers,
    }  # fmt: skip
    root = copy_of(generated(**answers), folder)
    for file in (root / "environments").glob("*.yml"):  # how quick this machine is, is not tested
        file.write_text(file.read_text().replace("p95_ms: 500", "p95_ms: 20000"))
    if answers.get("workspaces") == "one-shared":
        azure.add_workspace("rg-churnmodel", "mlw-churnmodel")
    else:
        for name in answers["environments"].split("-"):
            azure.add_workspace(f"rg-churnmodel-{name}", f"mlw-churnmodel-{name}")
        azure.add_registry("rg-churnmodel-registry", "mlr-churnmodel")
    return AzureProject(root, azure)


@functools.cache
def trained() -> tuple[ModelVersion, Path]:
    """A version that was trained on this machine, once: with its files."""
    root = copy_of(generated(environments="dev-prod"), Path(tempfile.mkdtemp(dir=SCRATCH)))
    run_mlops(root, "train", MLOPS_LOCAL="1")
    project = find_project(root)
    local = LocalWorkspace(project, project.environment("dev"))
    version = local.versions()[-1]
    return version, local.files(version)


def receive(workspace: AzureWorkspace) -> ModelVersion:
    """Put that version into a workspace, as if it had been promoted."""
    version, files = trained()
    passed = {f"gate.{workspace.environment.name}": "passed", "origin": version.origin}
    return workspace.receive(version, files, passed)


def fake_az(folder: Path, script: str) -> dict[str, str]:
    """An `az` that runs a shell script and writes down how it was called, first on the PATH."""
    folder.mkdir(exist_ok=True)
    az = folder / "az"
    az.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/calls"\n{script}\n')
    az.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def calls(folder: Path) -> list[str]:
    """How `az` was called."""
    file = folder / "calls"
    return file.read_text().splitlines() if file.is_file() else []


PIPELINE = """
type: pipeline
experiment_name: small
settings: {default_compute: "azureml:cpu-cluster"}
inputs: {text: hello}
jobs:
  say:
    type: command
    component: ./components/say.yml
    inputs: {text: "${{parent.inputs.text}}"}
"""
COMPONENT = """
type: command
name: say
version: "1"
inputs: {text: {type: string}}
code: ../../small
environment: file:../../containers/training/environment.yml
command: python say.py ${{inputs.text}}
"""


def silent(_: str) -> None:
    """Takes progress."""


def small_pipeline(root: Path) -> Path:
    """Give a project a pipeline of one quick step, `pipelines/small.yml`; the folder of its code."""
    code, pipelines = root / "small", root / "pipelines"
    if not code.is_dir():
        code.mkdir()
        (code / "say.py").write_text("import sys; print(sys.argv[1])")
        (pipelines / "small.yml").write_text(PIPELINE)
        (pipelines / "components" / "say.yml").write_text(COMPONENT)
    return code


def submit_small(workspace: AzureWorkspace, report: Report = silent) -> Job:
    """Submit that pipeline."""
    root = workspace.project.root
    small_pipeline(root)
    pipeline = load_pipeline(root / "pipelines" / "small.yml")
    return workspace.submit(pipeline, {"text": "hello"}, cache=True, report=report)


def receive_another(workspace: AzureWorkspace, folder: Path) -> ModelVersion:
    """Put a version with other files into a workspace: one more word in its contract's title."""
    version, files = trained()
    shutil.copytree(files, folder / "another")
    contract = folder / "another" / "model" / "contract.yml"
    contract.write_text(f"# another\n{contract.read_text()}")
    tags = {**version.tags, "model_digest": digest_version(folder / "another")}
    other = dataclasses.replace(version, tags=tags)
    passed = {f"gate.{workspace.environment.name}": "passed", "origin": "dev/2"}
    return workspace.receive(other, folder / "another", passed)
