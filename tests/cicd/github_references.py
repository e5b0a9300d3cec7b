"""What the GitHub files of a project refer to: does all of it exist, and is it used as it must be?

`findings` gives a sentence for each thing that is not there or not right; none means a clean bill.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .shell_references import READ_BY_PROGRAMS, Script, Surroundings, outputs_of

RUNNERS = {"ubuntu-24.04"}
# The inputs that we give to each action, of those that its release has.
ACTIONS = {
    "actions/checkout": {"fetch-depth", "persist-credentials"},
    "actions/setup-python": {"python-version-file", "python-version"},
    "actions/cache": {"path", "key"},
    "actions/upload-artifact": {"name", "path", "include-hidden-files", "retention-days"},
    "azure/login": {"client-id", "tenant-id", "subscription-id"},
}
# What `mlops connect github` sets, for the repository and in each environment.
OWN_BRANCH = "github.event.pull_request.head.repo.full_name == github.repository"
OF_REPOSITORY = {"MLOPS_CONNECTED", "MLOPS_PLAN"}
OF_ENVIRONMENT = {"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID"}
SECRETS = {"TEMPLATE_UPDATE_TOKEN": "template-update"}  # and the environment that holds it
OF_GITHUB = {
    "ref", "token", "repository", "event_name", "run_attempt",
    "event.before", "event.pull_request.base.sha", "event.pull_request.number",
    "event.pull_request.head.repo.full_name",
}  # fmt: skip
OF_RUNNER = {"os"}
SET_BY_GITHUB = {"GITHUB_STEP_SUMMARY"}
FIELDS = ("--field", "--raw-field")
# The rights that a program needs of the job's token.
RIGHTS = {
    r"mlops alarms --on github": "issues",
    r"gh pr create|gh pr comment": "pull-requests",
    r"gh workflow run": "actions",
    r"git push": "contents",
}


def findings(project: Path) -> list[str]:
    """All that is wrong with a project's `.github`."""
    folder = project / ".github"
    found = [
        f"{file.relative_to(folder)}: {finding}"
        for file in sorted([*folder.glob("workflows/*"), *folder.glob("actions/*/action.yml")])
        for finding in Files(project, file).findings()
    ]
    for update in read(folder / "dependabot.yml")["updates"]:
        for place in update["directories"]:
            if place != "/" and not list((project / place[1:]).glob("*.yml")):
                found.append(f"dependabot.yml: there is no {place}")
    return found


def read(file: Path) -> Any:
    """A YAML file in which every value is text."""
    return yaml.load(file.read_text("utf-8"), yaml.BaseLoader)  # noqa: S506  (knows text only)


@functools.cache
def environments_of(project: Path) -> dict[str, str]:
    """The project's environments, in order, and the name of each on the platform."""
    line = re.search(r"^environments = \[(.*?)\]", (project / "pyproject.toml").read_text(), re.M)
    names = re.findall(r'"(\w+)"', line[1] if line else "")
    return {n: read(project / "environments" / f"{n}.yml")["ci_cd"]["environment"] for n in names}


def expressions(value: Any) -> Iterator[str]:
    """The expressions in all texts under a value."""
    if isinstance(value, dict):
        for key, part in value.items():
            marked = isinstance(part, str) and key == "if" and "${{" not in part
            yield from [part] if marked else expressions(part)
    elif isinstance(value, list):
        for part in value:
            yield from expressions(part)
    else:
        yield from re.findall(r"\$\{\{(.*?)\}\}", value, re.DOTALL)


@dataclass
class Files:
    """One workflow or action, and the project that it stands in."""

    project: Path
    file: Path

    def findings(self) -> Iterator[str]:
        """What is wrong in this file."""
        self.text = self.file.read_text("utf-8")
        self.spec = read(self.file)
        if self.file.name == "action.yml":
            yield from self._steps(self.spec["runs"]["steps"], self.spec, {}, ready=True)
            return
        triggers = self.spec.get("on", {})
        if self.spec.get("permissions") != {}:
            yield "the workflow itself must have no permissions: `permissions: {}`"
        if not self.spec.get("concurrency", {}).get("group"):
            yield "it has no concurrency group"
        if unsafe := {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers):
            yield f"{unsafe.pop()} runs a stranger's words or code with rights"
        for name in ("push", "pull_request"):
            for pattern in (triggers.get(name) or {}).get("paths", []):
                if not list(self.project.glob(pattern.removesuffix("/**"))):
                    yield f"there is no {pattern}"
        yield from self._expressions(self.spec.get("run-name", ""), {}, [])
        for key, job in self.spec["jobs"].items():
            yield from (f"{key}: {finding}" for finding in self._job(job))

    def _job(self, job: dict[str, Any]) -> Iterator[str]:
        if job.get("runs-on") not in RUNNERS:
            yield f"{job.get('runs-on')} is no current runner"
        if not 0 < int(job.get("timeout-minutes", 0)) <= 360:
            yield "it has no timeout"
        rights = job.get("permissions")
        if not isinstance(rights, dict):
            yield "it has no permissions of its own"
        if "name" not in job:
            yield "it has no name"
        for need in self._needs(job):
            if need not in self.spec["jobs"]:
                yield f"there is no job {need}"
        environment, condition = job.get("environment", ""), job.get("if", "")
        ours = OWN_BRANCH in condition or "refs/heads/main" in condition or self._needs(job)
        if "pull_request" in self.spec["on"] and environment and not ours:
            yield "a fork's code would run with rights"
        if environment and not self._needs(job) and "vars." not in condition:
            yield from [] if environment == "template-update" else ["it runs unconnected, too"]
        beside = ("infrastructure", "monitoring", "template-update", "")
        known = {*environments_of(self.project).values(), *beside}
        if not environment.startswith("${{ matrix.") and environment not in known:
            yield f"there is no environment {environment}"
        outside = {key: part for key, part in job.items() if key != "steps"}
        earlier = job["steps"] if "outputs" in job else []
        yield from self._expressions(outside, job, earlier)
        yield from self._steps(job["steps"], job, rights if isinstance(rights, dict) else {})

    def _needs(self, job: dict[str, Any]) -> list[str]:
        needs = job.get("needs", [])
        return [needs] if isinstance(needs, str) else list(needs)

    def _steps(
        self, steps: list[dict[str, Any]], job: dict[str, Any], rights: dict[str, str],
        ready: bool = False,
    ) -> Iterator[str]:  # fmt: skip
        for number, step in enumerate(steps):
            if "uses" in step:
                yield from self._uses(step, job, rights)
                ready = ready or step["uses"].startswith(("actions/checkout", "$/"))
            else:
                yield from self._run(step, rights, ready)
            yield from self._expressions(step, job, steps[:number])

    def _uses(
        self, step: dict[str, Any], job: dict[str, Any], rights: dict[str, str]
    ) -> Iterator[str]:
        uses, given = step["uses"], step.get("with", {})
        if uses.startswith("$/"):
            action = self.project / uses[2:] / "action.yml"
            if not action.is_file():
                yield f"there is no {uses}"
                return
            inputs = read(action).get("inputs", {})
            targets = [given.get("target", inputs["target"]["default"])]
            surroundings = Surroundings("github", self.project, [], set())
            yield from surroundings.findings(f"make {' '.join(targets)}")
        else:
            name, _, commit = uses.partition("@")
            lines = re.findall(rf"{re.escape(uses)}(.*)", self.text)
            if not all(re.fullmatch(r"  # v\d+\.\d+\.\d+", rest) for rest in lines):
                yield f"{uses} needs its version behind it: `# v1.2.3`"
            if not re.fullmatch(r"[0-9a-f]{40}", commit):
                yield f"{uses} is not pinned by its commit"
            if name not in ACTIONS:
                yield f"{name} is an action that this check does not know"
            inputs = dict.fromkeys(ACTIONS.get(name, given), "")
            if name == "actions/checkout":
                if given.get("persist-credentials") != "false":
                    yield "the checkout leaves its credentials behind"
                if "contents" not in rights:
                    yield "the checkout needs `contents: read`"
            if name == "actions/upload-artifact" and given.get("retention-days") != "90":
                yield "what is uploaded must be kept 90 days"
            if name == "azure/login":
                if rights.get("id-token") != "write" or not job.get("environment"):
                    yield "the sign-in needs `id-token: write` and an environment"
                if len(given) != len(inputs):
                    yield "the sign-in needs client, tenant and subscription"
                if {"target": "azure"} not in [one.get("with") for one in job["steps"]]:
                    yield "what signs in needs the set-up of `azure`"
        if unknown := set(given) - set(inputs):
            yield f"{uses} has no {unknown.pop()}"

    def _run(self, step: dict[str, Any], rights: dict[str, str], ready: bool) -> Iterator[str]:
        text, given = step["run"], set(step.get("env", {}))
        if "${{" in text:
            yield "an expression in a script is an injection: hand it over by `env`"
        if not ready and ".venv" in text:
            yield "there is no checkout before it"
        if not ready and re.search(r"\bgh ", text) and "GH_REPO" not in given:
            yield "without a checkout, gh needs GH_REPO"
        if re.search(r"\bgh |--on github", text) and "GH_TOKEN" not in given:
            yield "gh needs GH_TOKEN"
        for pattern, right in RIGHTS.items():
            if re.search(pattern, text) and rights.get(right) != "write":
                yield f"`{pattern}` needs `{right}: write`"
        names = list(environments_of(self.project))
        surroundings = Surroundings("github", self.project, names, given | SET_BY_GITHUB)
        yield from surroundings.findings(text)
        for name in sorted(given - Script(text).read() - READ_BY_PROGRAMS):
            yield f"nothing reads {name}"
        yield from self._started(text)

    def _started(self, text: str) -> Iterator[str]:
        for words in Script(text).commands():
            if words[:3] != ["gh", "workflow", "run"]:
                continue
            other = self.file.parent / words[3]
            if not other.is_file() or "workflow_dispatch" not in read(other)["on"]:
                yield f"{words[3]} cannot be started"
                continue
            inputs = (read(other)["on"]["workflow_dispatch"] or {}).get("inputs", {})
            flags = itertools.pairwise(words)
            given = {word.partition("=")[0] for flag, word in flags if flag in FIELDS}
            needed = {name for name, spec in inputs.items() if spec.get("required") == "true"}
            if given - set(inputs) or needed - given:
                yield f"{words[3]} takes {sorted(inputs)}, not {sorted(given)}"

    def _expressions(
        self, value: Any, job: dict[str, Any], earlier: list[dict[str, Any]]
    ) -> Iterator[str]:
        for text in expressions(value):
            for name in re.findall(r"hashFiles\((.*?)\)", text):
                for path in re.findall(r"'(.*?)'", name):
                    if not list(self.project.glob(path)):
                        yield f"there is no {path}"
            plain = re.sub(r"'[^']*'", "", text)
            for context, name in re.findall(r"\b([a-z]+)\.([\w.-]+)", plain):
                if not self._known(context, name, job, earlier):
                    yield f"there is no {context}.{name}"

    def _known(
        self, context: str, name: str, job: dict[str, Any], earlier: list[dict[str, Any]]
    ) -> bool:
        first, _, rest = name.partition(".")
        if context == "needs":
            outputs = self.spec["jobs"].get(first, {}).get("outputs", {})
            return first in self._needs(job) and rest.removeprefix("outputs.") in outputs
        if context == "steps":
            scripts = [s.get("run", "") for s in earlier if s.get("id") == first]
            return any(rest.removeprefix("outputs.") in outputs_of(script) for script in scripts)
        if context == "inputs":
            dispatch = self.spec.get("on", {}).get("workflow_dispatch") or {}
            return name in dispatch.get("inputs", self.spec.get("inputs", {}))
        if context == "matrix":
            return first in job.get("strategy", {}).get("matrix", {})
        if context == "vars":
            own = OF_ENVIRONMENT if job.get("environment") else set()
            return name in OF_REPOSITORY | own
        if context == "secrets":
            return name in SECRETS and job.get("environment") == SECRETS[name]
        return name in {"github": OF_GITHUB, "runner": OF_RUNNER}.get(context, set())
