"""What the two platforms have in common: a repository, events, approvals, and runs that start others."""

from __future__ import annotations

import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from . import tools
from .machine import Machine, give_packages
from .runs import Event, Run

Edit = Callable[[Path], None]
IDENTITY = {
    "AZURE_CLIENT_ID": "11111111-0000-0000-0000-000000000000",
    "AZURE_TENANT_ID": "22222222-0000-0000-0000-000000000000",
    "AZURE_SUBSCRIPTION_ID": "33333333-0000-0000-0000-000000000000",
}


class Loader(yaml.SafeLoader):
    """YAML as both platforms read it: `on` is a key, and only true and false are booleans."""


Loader.yaml_implicit_resolvers = {
    sign: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:bool"]
    for sign, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", BOOLEAN, list("tTfF"))


def read_yaml(file: Path) -> Any:
    """A YAML file as the platforms read it."""
    return yaml.load(file.read_text("utf-8"), Loader)  # noqa: S506  (it is a SafeLoader)


class Platform(ABC):
    """A platform as `mlops connect` leaves it, and what happens on it.

    `refused` are the platform's environments whose reviewers say no, `asked` those whose reviewers
    were asked. Runs that a run starts wait in the state of the doubles until `handed_over`. Stages and
    jobs that a test has no use for stand in `left_out`. Where a job has signed in, its steps get the
    variables `in_azure`; without `local`, they use no local workspaces.
    """

    ci_cd: str
    folder: str

    def __init__(self, root: Path, name: str = "churn-model", *, packages: bool = True) -> None:
        self.machine = Machine(root, name)
        self.desk = root / "desk"
        self.connected, self.local = True, True
        self.refused: set[str] = set()
        self.left_out: set[str] = set()
        self.asked: list[str] = []
        self.variables: dict[str, str] = {}
        self.in_azure: dict[str, str] = {}
        if packages:
            give_packages(self.machine)

    # --- the repository --------------------------------------------------------------------------

    def host(self, project: Path) -> None:
        """Begin anew with a committed project."""
        self.machine.begin()
        self.machine.host(project)
        tools.write_state(self.machine.root, {**tools.EMPTY, "calls": []})
        self.renew()

    def renew(self) -> None:
        """Forget what the test before set; look at the repository's main branch."""
        self.connected, self.local = True, True
        self.refused, self.left_out, self.asked, self.variables = set(), set(), [], {}
        self.in_azure = {}
        shutil.rmtree(self.desk, ignore_errors=True)
        origin = self.machine.origin.as_uri()
        self.machine.git("clone", "-q", origin, str(self.desk), folder=self.machine.root)

    def commit(self, edit: Edit, branch: str = "main") -> Event:
        """Commit an edit and push it; the event as a push."""
        git, desk = self.machine.git, self.desk
        git("checkout", "-q", "main", folder=desk)
        git("pull", "-q", "--ff-only", folder=desk)
        base = git("rev-parse", "HEAD", folder=desk)
        if branch != "main":
            git("checkout", "-q", "-B", branch, folder=desk)
        edit(desk)
        git("add", "-A", folder=desk)
        git("commit", "-qm", "an edit", folder=desk)
        git("push", "-qf", "origin", branch, folder=desk)
        changed = git("diff", "--name-only", base, "HEAD", folder=desk).splitlines()
        commit = git("rev-parse", "HEAD", folder=desk)
        return Event("push", commit, branch, base, tuple(changed))

    def look_at(self, commit: str) -> Path:
        """The repository's files at a commit, for the platform to read its own from."""
        self.machine.git("checkout", "-q", "--detach", commit, folder=self.desk)
        return self.desk

    def head(self, branch: str = "main") -> str:
        """The newest commit of a branch."""
        return self.machine.git("rev-parse", branch)

    def environments(self) -> list[tuple[str, str]]:
        """The project's environments in their order, and their names on the platform."""
        lines = (self.desk / "pyproject.toml").read_text("utf-8")
        found = re.search(r"^environments = \[([^\]]*)\]", lines, re.MULTILINE)
        assert found
        names = re.findall(r'"(\w+)"', found[1])
        files = [read_yaml(self.desk / "environments" / f"{name}.yml") for name in names]
        return [
            (name, (file.get("ci_cd") or {})["environment"]) for name, file in zip(names, files)
        ]

    def ask(self, environment: str) -> bool:
        """Ask the reviewers of one of the platform's environments, where it has some."""
        if environment not in self.reviewed():
            return True
        self.asked.append(environment)
        return environment not in self.refused

    @abstractmethod
    def reviewed(self) -> set[str]:
        """The platform's environments that have reviewers."""

    # --- what happens ----------------------------------------------------------------------------

    def push(self, edit: Edit) -> dict[str, Run]:
        """Push an edit to main; the runs that this starts, by stage."""
        return self._start(self.commit(edit))

    def pull_request(self, edit: Edit) -> dict[str, Run]:
        """Open a pull request; the runs that this starts, by stage."""
        pushed = self.commit(edit, "change")
        state = tools.read_state(self.machine.root)
        pull = {"number": 1, "state": "OPEN", "headRefName": "change", "comments": [], "title": "a"}
        state["pull_requests"].append(pull)
        tools.write_state(self.machine.root, state)
        event = Event("pull_request", pushed.commit, "change", pushed.base, pushed.changed)
        return self._start(event)

    def schedule(self, stage: str) -> Run:
        """The time has come that a stage's schedule names."""
        event = Event("schedule", self.head())
        assert self.starts(stage, event), f"{stage} has no schedule"
        return self.run(stage, event)

    def start(self, stage: str, *, branch: str = "main", **inputs: str) -> Run:
        """Somebody starts a stage by hand."""
        event = Event("dispatch", self.head(branch), branch, inputs=inputs)
        assert self.starts(stage, event), f"{stage} cannot be started by hand"
        return self.run(stage, event)

    def handed_over(self) -> dict[str, Run]:
        """Run what the runs so far have started, as they asked for it, until nothing is left."""
        done = {}
        while True:
            state = tools.read_state(self.machine.root)
            if not state["runs"]:
                return done
            queued = state["runs"].pop(0)
            tools.write_state(self.machine.root, state)
            stage = self.stage_named(queued["stage"])
            assert stage in self.stages(), f"could not find any workflows named {stage}"
            done[stage] = self.start(stage, branch=queued["branch"], **queued["inputs"])

    def _start(self, event: Event) -> dict[str, Run]:
        started = [stage for stage in self.stages() if self.starts(stage, event)]
        return {stage: self.run(stage, event) for stage in started if stage not in self.left_out}

    def stages(self) -> list[str]:
        """The stages that the repository has."""
        return sorted(file.stem for file in (self.desk / self.folder).glob("*.yml"))

    def stage_named(self, name: str) -> str:
        """The stage that a command of the platform names."""
        return name

    @abstractmethod
    def starts(self, stage: str, event: Event) -> bool:
        """Whether an event starts a stage."""

    @abstractmethod
    def run(self, stage: str, event: Event) -> Run:
        """Run a stage to its end."""

    # --- what the platform knows -----------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """What the doubles of `gh` and `az` keep."""
        return tools.read_state(self.machine.root)

    def sign_in(self, who: str) -> None:
        """Sign in to Azure, or out with an empty name."""
        tools.write_state(self.machine.root, {**self.state, "signed_in": who})

    def breaks(self, *words: str) -> None:
        """The platform refuses the commands that begin with these words; nothing: none."""
        broken = {"broken": words or ["nothing"]}
        tools.write_state(self.machine.root, {**self.state, **broken})

    def calls(self, *words: str) -> list[list[str]]:
        """The calls of the doubles that begin with these words."""
        return [
            call["arguments"]
            for call in self.state["calls"]
            if tuple(call["arguments"][: len(words)]) == words
        ]


def matches(path: str, patterns: list[str]) -> bool:
    """Whether the last pattern that fits a path lets it in (`!` puts it out)."""
    found = False
    for pattern in patterns:
        out, pattern = pattern.startswith("!"), pattern.removeprefix("!").lstrip("/")
        rule = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*")
        rule = rule.replace(r"\*", "[^/]*")
        if re.fullmatch(rule, path) or (pattern.endswith("/") and path.startswith(pattern)):
            found = not out
    return found
