"""GitHub Actions: a job and its steps, on a machine.

Sources: GitHub, "Workflow syntax for GitHub Actions", "Contexts reference", "Events that trigger
workflows". What is not known here is an error.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import tools
from .expressions import Evaluation, Names, Strict, substitute
from .github_actions import ACTIONS, NotDone
from .languages import GITHUB, github_text
from .platforms import read_yaml
from .runs import JobRun, StepRun, read_pairs

if TYPE_CHECKING:
    from .github import WorkflowRun

SHELLS = {
    "": ["bash", "-e"],
    "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"],
}
STATES = {"success", "failure", "always", "cancelled"}
# Environments of the platform beside the project's own.
FIXED = {"infrastructure", "monitoring", "template-update"}


class Job:
    """One job on a machine."""

    def __init__(
        self, workflow: WorkflowRun, key: str, spec: dict[str, Any], matrix: dict[str, Any], n: int
    ) -> None:
        self.workflow, self.spec, self.matrix = workflow, spec, matrix
        self.platform, self.event = workflow.platform, workflow.event
        self.folder = self.platform.machine.folder
        names = workflow.names(spec)
        names["matrix"] = Strict("matrix", matrix)
        names["strategy"] = {"job-index": n}
        self._value = Evaluation(GITHUB, names).value
        permissions = spec.get("permissions", workflow.spec.get("permissions"))
        assert isinstance(permissions, dict), f"{key}: the permissions are not written down"
        shown = next((v for v in matrix.values()), None)
        shown = shown.get("name") if isinstance(shown, dict) else shown
        self.run = JobRun(f"{key}/{shown}" if shown else key, permissions=permissions)
        environment = resolved(spec.get("environment") or "", self._value)
        self.run.environment = environment["name"] if isinstance(environment, dict) else environment
        self.names = names | {"vars": workflow.variables(self.run.environment)}
        token = tools.token(permissions)
        self.names["github"] = Strict("github", {**names["github"], "token": token})
        secrets = dict.fromkeys(["TEMPLATE_UPDATE_TOKEN"], "")
        if self.run.environment == "template-update":
            secrets |= self.platform.variables
        self.names["secrets"] = Strict("secrets", secrets | {"GITHUB_TOKEN": token})
        self.names["runner"] = {
            "os": "Linux",
            "arch": "X64",
            "temp": str(self.platform.machine.temp),
        }
        self.exported: dict[str, str] = {}
        self.paths: list[str] = []
        self.failed = False

    def execute(self) -> None:
        """Run its steps; the environment's reviewers are asked before."""
        self.run.result = "failure"
        known = {name for _, name in self.platform.environments()} | FIXED
        here = self.run.environment
        assert here == "" or here in known, f"nobody has made the environment {here}"
        self.platform.machine.begin()
        self.platform.sign_in("")
        if here and not self.platform.ask(here):
            return
        scope: dict[str, Any] = {}
        defaults = {**self.workflow.spec.get("defaults", {}), **self.spec.get("defaults", {})}
        names = Names({**self.names, "job": {"status": "success"}})
        names["env"] = self._environment(
            {**(self.workflow.spec.get("env") or {}), **(self.spec.get("env") or {})}, names
        )
        self.steps(self.spec["steps"], names, scope, defaults.get("run") or {})
        self.platform.sign_in("")
        self.run.result = "failure" if self.failed else "success"
        value = Evaluation(GITHUB, Names({**names, "steps": self._outputs(scope)})).value
        for name, text in (self.spec.get("outputs") or {}).items():
            self.run.outputs[name] = github_text(substitute(text, value, GITHUB))

    def steps(
        self,
        specs: list[dict[str, Any]],
        names: Names,
        scope: dict[str, Any],
        defaults: dict[str, str],
    ) -> None:
        """Run steps, each under its condition."""
        for spec in specs:
            known = {"name", "id", "if", "uses", "run", "with", "env", "shell", "working-directory",
                     "continue-on-error", "timeout-minutes"}  # fmt: skip
            assert set(spec) <= known, f"the harness does not know {set(spec) - known}"
            context = Names({**names, "steps": self._outputs(scope)})
            context["env"] = {**names["env"], **self.exported}
            states = {
                "success": lambda: not self.failed, "failure": lambda: self.failed,
                "always": lambda: True, "cancelled": lambda: False, "hashFiles": self._hash,
            }  # fmt: skip
            title = spec.get("name") or spec.get("uses") or str(spec.get("run")).strip()
            step = StepRun(title, "skipped")
            self.run.steps.append(step)
            scope[spec.get("id") or f"__{len(scope)}"] = (step, outputs := {})
            if not condition(spec.get("if"), context, states):
                continue
            value = Evaluation(GITHUB, context, {"hashFiles": self._hash}).value
            context["env"] |= self._environment(spec.get("env") or {}, context)
            value = Evaluation(GITHUB, context, {"hashFiles": self._hash}).value
            if "run" in spec:
                self._script(spec, step, outputs, context, defaults)
            else:
                self._action(spec, step, outputs, context, value)
            if step.result == "failure" and not spec.get("continue-on-error"):
                self.failed = True

    def _script(
        self, spec: dict[str, Any], step: StepRun, outputs: dict[str, str], names: Names,
        defaults: dict[str, str],
    ) -> None:  # fmt: skip
        value = Evaluation(GITHUB, names, {"hashFiles": self._hash}).value
        machine = self.platform.machine
        files = {
            f"GITHUB_{name}": machine.temp / f"{name.lower()}-{len(self.run.steps)}"
            for name in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")
        }
        environment = machine.variables() | self._github_variables() | names["env"]
        for name, file in files.items():
            file.touch()
            environment[name] = str(file)
        if not self.platform.local:
            environment.pop("MLOPS_LOCAL")
        environment |= self.platform.in_azure if self.run.signed_in else {}
        environment["PATH"] = ":".join([*self.paths, environment["PATH"]])
        folder = self.folder / (
            spec.get("working-directory") or defaults.get("working-directory", "")
        )
        shell = SHELLS[spec.get("shell") or defaults.get("shell", "")]
        script = github_text(substitute(spec["run"], value, GITHUB))
        status, step.output, step.seconds = machine.run(shell, script, folder, environment)
        step.result = "success" if status == 0 else "failure"
        outputs |= read_pairs(files["GITHUB_OUTPUT"])
        self.exported |= read_pairs(files["GITHUB_ENV"])
        self.paths[:0] = files["GITHUB_PATH"].read_text().splitlines()
        self.run.summary += files["GITHUB_STEP_SUMMARY"].read_text("utf-8")

    def _action(
        self, spec: dict[str, Any], step: StepRun, outputs: dict[str, str], names: Names, value: Any
    ) -> None:
        given = {
            name: github_text(substitute(text, value, GITHUB) if isinstance(text, str) else text)
            for name, text in (spec.get("with") or {}).items()
        }
        root, _, path = spec["uses"].partition("/")
        if root in (".", "$"):  # in the clone; or in the running commit, clone or none
            folder = self.folder if root == "." else self.platform.look_at(self.event.commit)
            self._composite(folder / path, given, step, outputs, names)
            return
        name, _, version = spec["uses"].partition("@")
        assert name in ACTIONS, f"nothing stands in for {name}: github_actions.py names what does"
        assert len(version) == 40, f"{name} is not pinned by a commit"
        step.stand_in, step.result = True, "success"
        try:
            outputs |= ACTIONS[name](self, given)
        except NotDone as refusal:
            step.result, step.output = "failure", str(refusal)

    def _composite(
        self,
        path: Path,
        given: dict[str, str],
        step: StepRun,
        outputs: dict[str, str],
        names: Names,
    ) -> None:
        action = read_yaml(path / "action.yml")
        assert action["runs"]["using"] == "composite"
        inputs = {
            name: rule.get("default", "") for name, rule in (action.get("inputs") or {}).items()
        }
        assert set(given) <= set(inputs), f"{path} has no inputs {set(given) - set(inputs)}"
        inside = Names({key: names[key] for key in ("github", "env", "runner", "matrix", "job")})
        inside["inputs"] = Strict("inputs", inputs | given)
        scope: dict[str, Any] = {}
        for own in action["runs"]["steps"]:
            assert "uses" in own or "shell" in own, f"{path}: a step of an action names its shell"
        before = self.failed
        self.steps(action["runs"]["steps"], inside, scope, {})
        step.result = "failure" if self.failed and not before else "success"
        value = Evaluation(GITHUB, Names({**inside, "steps": self._outputs(scope)})).value
        for name, rule in (action.get("outputs") or {}).items():
            outputs[name] = github_text(substitute(rule["value"], value, GITHUB))

    def _outputs(self, scope: dict[str, Any]) -> Strict:
        shown = {}
        for key, (step, outputs) in scope.items():
            ran = step.result == "success"
            inner = Strict(f"step {key}", outputs) if ran else dict(outputs)
            shown[key] = {"outputs": inner, "outcome": step.result, "conclusion": step.result}
        return Strict("steps", {key: v for key, v in shown.items() if not key.startswith("__")})

    def _environment(self, spec: dict[str, Any], names: Names) -> dict[str, str]:
        value = Evaluation(GITHUB, names).value
        return {
            name: github_text(substitute(text, value, GITHUB) if isinstance(text, str) else text)
            for name, text in spec.items()
        }

    def _hash(self, *patterns: str) -> str:
        files = [file for pattern in patterns for file in sorted(self.folder.glob(pattern))]
        assert len(files) >= len(patterns), f"hashFiles: there is no file for one of {patterns}"
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

    def _github_variables(self) -> dict[str, str]:
        github = self.names["github"]
        machine = self.platform.machine
        named = {
            f"GITHUB_{name.upper()}": github_text(github[name])
            for name in ("sha", "ref", "ref_name", "repository", "event_name", "base_ref", "head_ref",
                         "actor", "run_id", "run_number", "run_attempt", "server_url", "workflow")
        }  # fmt: skip
        event = machine.temp / "event.json"
        event.write_text(json.dumps(github["event"]), "utf-8")
        return named | {
            "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(self.folder),
            "GITHUB_EVENT_PATH": str(event), "RUNNER_TEMP": str(machine.temp), "RUNNER_OS": "Linux",
        }  # fmt: skip


def condition(text: Any, names: Names, states: dict[str, Any]) -> bool:
    """Whether an `if` holds; one that asks for no state holds only after success."""
    if text is None or text is True:
        return bool(states["success"]())
    evaluation = Evaluation(GITHUB, names, states)
    found = substitute(str(text), evaluation.value, GITHUB)
    if "${{" not in str(text):
        found = evaluation.value(str(text))
    asks = evaluation.called & STATES
    return GITHUB.truth(found) and (bool(asks) or bool(states["success"]()))


def resolved(node: Any, value: Any) -> Any:
    """A part of a workflow with its expressions replaced."""
    if isinstance(node, dict):
        return {key: resolved(item, value) for key, item in node.items()}
    if isinstance(node, list):
        return [resolved(item, value) for item in node]
    return substitute(node, value, GITHUB) if isinstance(node, str) else node
