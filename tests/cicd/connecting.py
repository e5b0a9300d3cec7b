"""A project beside the doubles of its platforms, and `mlops connect` run in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.cicd import doubles
from tests.cicd.doubles import SUBSCRIPTION, TENANT, Platform
from tests.conftest import ENGINE, copy_of, generated

TEAMS = ("data-scientists", "ml-engineers", "data-engineers", "infrastructure-team")


@dataclass
class Connecting:
    """A project, the file with the state of its platforms, and the test's patches."""

    project: Path
    file: Path
    patches: pytest.MonkeyPatch

    @property
    def state(self) -> dict[str, Any]:
        """What the platforms know."""
        return json.loads(self.file.read_text("utf-8"))  # type: ignore[no-any-return]

    def change(self, **parts: dict[str, Any]) -> None:
        """Change what a platform knows: `github={"plan": "free"}`."""
        state = self.state
        for name, values in parts.items():
            state[name] |= values
        self.write(state)

    def write(self, state: dict[str, Any]) -> None:
        self.file.write_text(json.dumps(state), "utf-8")

    def refuse(self, on: str, said: str, status: int = 1) -> None:
        """Let the tools refuse each command that fits."""
        state = self.state
        state["refusals"] = [{"on": on, "said": said, "status": status}] if on else []
        self.write(state)

    def run(self, platform: str, *options: str, status: int | None = 0, **kept: Any) -> Result:
        """`mlops connect`, in this process."""
        from mlops.cli import app

        state = self.state
        state["calls"] = []
        self.write(state)
        self.patches.chdir(self.project)
        result = CliRunner().invoke(app, ["connect", platform, *options], **kept)
        assert status is None or result.exit_code == status, result.output + result.stderr
        return result

    @property
    def writes(self) -> list[dict[str, Any]]:
        """The calls of the last run that change something."""
        return [call for call in self.state["calls"] if doubles.WRITES.search(call["line"])]

    def identity(self, environment: str) -> dict[str, Any]:
        """The identity of an environment, as Azure knows it."""
        found = [
            one for one in self.state["azure"]["identities"].values()
            if one["name"] in (f"id-churnmodel-{environment}-ci-cd", f"id-churnmodel-{environment}")
        ]  # fmt: skip
        return found[0]  # type: ignore[no-any-return]

    def script(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run what --dry-run printed in a shell, with the doubles as programs."""
        folder = self.file.parent / "bin"
        doubles.install(folder, self.file)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-eu", "-c", text], cwd=self.project, env={**os.environ, "PATH": path},
            capture_output=True, text=True,
        )  # fmt: skip


def fresh_state(environments: tuple[str, ...], *, shared: bool) -> dict[str, Any]:
    """Platforms on which nothing was set up, but whose teams and identities are there."""
    state: dict[str, Any] = {
        "calls": [],
        "refusals": [],
        "github": {
            "signed_in": True,
            "plan": "enterprise",
            "pushed": True,
            "repository": {
                "id": 456, "full_name": "acme/churn-model", "private": True,
                "visibility": "private", "default_branch": "main",
                "owner": {"login": "acme", "id": 123, "type": "Organization"},
                "permissions": {"admin": True, "push": True, "pull": True},
            },
            "teams": {
                slug: {"id": 10 + number, "slug": slug, "permission": "push"}
                for number, slug in enumerate(TEAMS)
            },
            "users": {"casey": {"id": 77, "login": "casey"}},
            "environments": {}, "variables": {}, "protection": None,
            "subject": {
                "use_default": True, "use_immutable_subject": True,
                "sub_claim_prefix": "repo:acme@123/churn-model@456",
            },
            "organization_subject": None,
        },
        "azure": {
            "signed_in": True, "may_assign": True, "subscriptions": {SUBSCRIPTION: TENANT},
            "groups": [], "identities": {}, "roles": [],
        },
        "devops": {
            "extension": True, "organization": "https://dev.azure.com/acme", "project": "Models",
            "repository": "churn-model", "pushed": True, "configured": "",
            "teams": {slug: f"team-{slug}" for slug in TEAMS},
            "pipelines": {}, "environments": {}, "checks": [], "endpoints": {}, "permissions": {},
            "policies": [],
        },
    }  # fmt: skip
    for name in environments:
        group = "rg-churnmodel" if shared else f"rg-churnmodel-{name}"
        doubles.add_identity(state, group, f"id-churnmodel-{name}-ci-cd")
    doubles.add_identity(state, group, f"id-churnmodel-{name}-monitoring")
    return state


def connecting(
    tmp_path: Path, patches: pytest.MonkeyPatch, *, azure: bool = True, **answers: str
) -> Connecting:
    """A project with these answers, on platforms that lack all that `connect` makes."""
    if azure:
        answers = {"azure_subscription_id": SUBSCRIPTION, "azure_tenant_id": TENANT, **answers}
    project = copy_of(generated(**answers), tmp_path)
    names = tuple(answers.get("environments", "dev-staging-prod").split("-"))
    file = tmp_path / "platform.json"
    state = fresh_state(names, shared=answers.get("workspaces") == "one-shared")
    file.write_text(json.dumps(state), "utf-8")
    remote = "https://acme@dev.azure.com/acme/Models/_git/churn-model"
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=project, check=True)
    if sys.path[0] != ENGINE:
        patches.syspath_prepend(ENGINE)
    _in_this_process(file, patches)
    return Connecting(project, file, patches)


def _in_this_process(file: Path, patches: pytest.MonkeyPatch) -> None:
    """Answer the engine's calls of gh and az here: a process for each would take seconds."""
    from mlops import tools

    real = subprocess.run

    def run(command: list[str], **given: Any) -> Any:
        tool = Path(command[0]).name
        if tool not in ("gh", "az"):
            return real(command, **given)
        status, out, err = Platform(file).call(tool, command[1:], given.get("input") or "")
        return subprocess.CompletedProcess(command, status, out, err)

    patches.setattr(tools.subprocess, "run", run)
    patches.setattr(tools.shutil, "which", lambda program: f"/usr/bin/{program}")


def plain(text: str) -> str:
    """A text with single spaces, to look for a sentence in."""
    return re.sub(r"\s+", " ", text)
