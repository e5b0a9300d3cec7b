"""The versions of an environment, and the decisions about them."""

from __future__ import annotations

from pathlib import Path

from mlops.contract import Contract, load_contract
from mlops.decisions import Check, Decision, DecisionKind, now
from mlops.errors import Refused, UsageError
from mlops.workspaces import ModelVersion, Workspace
from mlops.workspaces.registry import digest_version


def find_version(workspace: Workspace, number: int | None) -> ModelVersion:
    """A version of an environment: the one with this number, or the newest.

    Raises:
        UsageError: it is not there.
    """
    versions = workspace.versions()
    name = workspace.environment.name
    if not versions:
        raise Refused(
            f"{name} has no model version yet; `mlops train` makes one in the first environment, "
            "`mlops promote` brings one here"
        )
    if number is None:
        return versions[-1]
    for version in versions:
        if version.number == number:
            return version
    known = ", ".join(str(version.number) for version in versions)
    raise UsageError(f"{name} has no model version {number}; it has: {known}")


def deployment_name(version: ModelVersion) -> str:
    """The name of a version's deployment; the same version always has the same."""
    return f"version-{version.number}"


def contract_of(workspace: Workspace, version: ModelVersion) -> Contract:
    """The contract that a version was trained with and is served with."""
    return load_contract(workspace.files(version) / "model" / "contract.yml")


def decide(
    workspace: Workspace, kind: DecisionKind, version: ModelVersion,
    checks: tuple[Check, ...] | list[Check], **facts: str,
) -> Decision:  # fmt: skip
    """The decision that these checks make about a version, now; nothing is kept yet."""
    return Decision(
        kind=kind, environment=workspace.environment.name, model=version.name,
        version=version.number, checks=tuple(checks), facts=facts, time=now(),
    )  # fmt: skip


def digest_check(version: ModelVersion, files: Path) -> Check:
    """That the files are the very ones that were registered."""
    digest = digest_version(files)
    return Check(
        rule="digest of model, contract and code", value=digest[:16], limit=version.digest[:16],
        comparison="expected", passed=digest == version.digest,
    )  # fmt: skip
