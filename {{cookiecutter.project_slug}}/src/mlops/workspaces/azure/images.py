"""The images of `containers/`, registered as Azure ML environments under the digest of their inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mlops.digests import digest_of, digest_path
from mlops.documents import read_yaml
from mlops.project import Project

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

Purpose = Literal["training", "inference", "batch"]
CONTEXT = ("pyproject.toml", "constraints.txt", "containers/python-version")


def image_version(project: Project, purpose: Purpose) -> str:
    """The version of an image: a digest of the files that it is built from."""
    folder = project.root / "containers" / purpose
    files = [*(project.root / name for name in CONTEXT), folder]
    return digest_of([digest_path(file) for file in files if file.exists()])[:16]


def image_name(project: Project, purpose: Purpose) -> str:
    """The name that its file gives it."""
    return str(read_yaml(project.root / "containers" / purpose / "environment.yml").data["name"])


def is_registered(client: MLClient, project: Project, purpose: Purpose) -> bool:
    """Whether the workspace has this version of the image."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        client.environments.get(image_name(project, purpose), image_version(project, purpose))
    except ResourceNotFoundError:
        return False
    return True


def register_image(client: MLClient, project: Project, purpose: Purpose) -> str:
    """Register an image where that is not done yet; Azure builds it before its first use.

    Returns:
        `azureml:<name>:<version>`, as components and deployments refer to it.
    """
    from azure.ai.ml import load_environment

    version = image_version(project, purpose)
    if not is_registered(client, project, purpose):
        file = project.root / "containers" / purpose / "environment.yml"
        client.environments.create_or_update(
            load_environment(file, params_override=[{"version": version}])
        )
    return f"azureml:{image_name(project, purpose)}:{version}"
