"""Azure Pipelines: a job and its steps, on a machine.

Sources: Azure Pipelines, "YAML schema", "Conditions", "Define variables", "Set variables in scripts",
"Deployment jobs", "Predefined variables"; azure-pipelines-tasks, issue 10125: no script stops at a
command that fails, but for `set -e`. What is not known here is an error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import tools
from .azure_tasks import TASKS, checkout
from .azure_templates import named
from .expressions import Evaluation, ExpressionError, Names, Strict
from .github_actions import NotDone, keep
from .languages import AZURE
from .runs import JobRun, StepRun

if TYPE_CHECKING:
    from .azure_pipelines import PipelineRun

BASH = ["bash", "--noprofile", "--norc"]  # without -e
MACRO = re.compile(r"\$\(([A-Za-z_][\w.-]*)\)")
RUNTIME = re.compile(r"\$\[(.*)\]", re.DOTALL)
COMMAND = re.compile(r"##vso\[([\w.]+)\s*([^\]]*)\](.*)")
RESULTS = {
    "success": "Succeeded",
    "failure": "Failed",
    "skipped": "Skipped",
    "cancelled": "Canceled",
}
STEP_KEYS = {
    "bash", "script", "task", "checkout", "publish", "artifact", "name", "displayName", "condition",
    "env", "inputs", "continueOnError", "workingDirectory", "timeoutInMinutes", "fetchDepth",
    "persistCredentials", "clean", "failOnStderr",
}  # fmt: skip


class Job:
    """One job on a machine."""

    def __init__(
        self, pipeline: PipelineRun, stage: dict[str, Any], key: str, spec: dict[str, Any]
    ) -> None:
        self.pipeline, self.spec, self.key = pipeline, spec, key
        self.platform, self.event = pipeline.platform, pipeline.event
        self.folder = self.platform.machine.folder
        shown = key if stage["stage"] == "__default" else f"{stage['stage']}/{key}"
        self.run = JobRun(shown)
        self.deploys = "deployment" in spec
        environment = spec.get("environment") or ""
        self.run.environment = environment["name"] if isinstance(environment, dict) else environment
        self.variables = dict(pipeline.variables)
        self.before = pipeline.names(self.variables)
        jobs = pipeline.jobs[stage["stage"]]
        self.before["dependencies"] = Strict(f"dependencies of {key}", {
            other: shown_job(jobs[other]) for other in listed(spec.get("dependsOn"))
        })  # fmt: skip
        self.before["stageDependencies"] = Strict(f"stageDependencies of {key}", {
            other: Strict(other, {name: shown_job(job) for name, job in pipeline.jobs[other].items()})
            for other in stage["dependsOn"]
        })  # fmt: skip
        self.failed = False
        self.paths: list[str] = []

    def execute(self) -> None:
        """Run its steps; the environment's reviewers are asked before."""
        self.run.result = "failure"
        here = self.run.environment
        assert not self.deploys or here in self.platform.known(), (
            f"there is no environment {here!r}"
        )
        self.platform.machine.begin()
        self.platform.sign_in("")
        if here and not self.platform.ask(here):
            return
        Path(self.pipeline.predefined["Build.ArtifactStagingDirectory"]).mkdir()
        for name, value in named(self.spec.get("variables") or []).items():
            match = RUNTIME.fullmatch(value.strip())
            found = Evaluation(AZURE, self.before).value(match[1]) if match else value
            self.variables[name] = AZURE.text(found)
        if self.deploys:
            strategy = self.spec["strategy"]
            assert set(strategy) == {"runOnce"} and set(strategy["runOnce"]) == {"deploy"}
            steps = strategy["runOnce"]["deploy"]["steps"]
        else:
            assert "strategy" not in self.spec, "the harness does not know strategies of jobs yet"
            steps = self.spec["steps"]
            if not any("checkout" in step for step in steps):
                steps = [{"checkout": "self"}, *steps]
        for step in steps:
            self._step(step)
        self.run.result = "failure" if self.failed else "success"

    def _step(self, spec: dict[str, Any]) -> None:
        assert set(spec) <= STEP_KEYS, f"the harness does not know {set(spec) - STEP_KEYS}"
        first = next(iter(spec))
        step = StepRun(str(spec.get("displayName") or spec[first]), "skipped")
        self.run.steps.append(step)
        names = self.pipeline.names(self.variables)
        if self.failed:  # What steps that were not run would have set is not there.
            names["variables"] = dict(names["variables"])
        now = {
            "succeeded": lambda: not self.failed, "failed": lambda: self.failed,
            "succeededOrFailed": lambda: True, "always": lambda: True, "canceled": lambda: False,
        }  # fmt: skip
        if not holds(spec.get("condition"), names, now):
            return
        step.result = "success"
        try:
            inputs = {k: self._macros(v, spec) for k, v in (spec.get("inputs") or {}).items()}
            if "checkout" in spec:
                step.stand_in = True
                checkout(self, spec)
            elif "publish" in spec:
                step.stand_in = True
                given = {"targetPath": spec["publish"], "artifact": spec["artifact"]}
                TASKS["PublishPipelineArtifact@1"](
                    self, {name: self._macros(value, spec) for name, value in given.items()}
                )
            elif "bash" in spec or "script" in spec:
                self._script(spec, step, str(spec.get("bash", spec.get("script"))))
            elif spec["task"] == "AzureCLI@2":
                self._azure_cli(spec, step, inputs)
            else:
                known = spec["task"] in TASKS
                assert known, (
                    f"nothing stands in for {spec['task']}: azure_tasks.py names what does"
                )
                step.stand_in = True
                TASKS[spec["task"]](self, inputs)
        except NotDone as refusal:
            step.result, step.output = "failure", str(refusal)
        if step.result == "failure" and not spec.get("continueOnError"):
            self.failed = True

    def _azure_cli(self, spec: dict[str, Any], step: StepRun, inputs: dict[str, str]) -> None:
        known = {"azureSubscription", "scriptType", "scriptLocation", "inlineScript",
                 "keepAzSessionActive", "workingDirectory"}  # fmt: skip
        assert set(inputs) <= known, f"the harness does not know {set(inputs) - known}"
        assert (inputs["scriptType"], inputs["scriptLocation"]) == ("bash", "inlineScript")
        connection = inputs["azureSubscription"]
        if connection not in self.platform.connections():
            raise NotDone(f"there is no service connection {connection}")
        self.run.signed_in = connection
        self.platform.sign_in(connection)
        self._script(spec, step, str(spec["inputs"]["inlineScript"]))
        self.platform.sign_in("")

    def _script(self, spec: dict[str, Any], step: StepRun, script: str) -> None:
        machine = self.platform.machine
        environment = machine.variables() | {
            re.sub(r"[. ]", "_", name).upper(): value
            for name, value in (self.pipeline.predefined | self.variables).items()
        }
        environment |= {"TF_BUILD": "True"}
        if not self.platform.local:
            environment.pop("MLOPS_LOCAL")
        environment |= self.platform.in_azure if self.run.signed_in else {}
        environment["PATH"] = ":".join([*self.paths, environment["PATH"]])
        for name, value in (spec.get("env") or {}).items():
            environment[name] = self._macros(value, spec)
        folder = self.folder / self._macros(spec.get("workingDirectory", ""), spec)
        text = MACRO.sub(lambda match: self._value(match[1], match[0]), script)
        status, step.output, step.seconds = machine.run(BASH, text, folder, environment)
        step.result = "success" if status == 0 else "failure"
        for line in step.output.splitlines():
            if match := COMMAND.search(line):
                self._follow(spec, match[1], pairs(match[2]), match[3])

    def _follow(self, spec: dict[str, Any], command: str, given: dict[str, str], text: str) -> None:
        """Follow a logging command."""
        text = text.replace("%AZP25", "%")
        if command == "task.setvariable":
            name = given["variable"]
            if given.get("isoutput", "").lower() == "true":
                if "name" not in spec:
                    return  # nobody can ask for it
                name = f"{spec['name']}.{name}"
                self.run.outputs[f"{self.key}.{name}" if self.deploys else name] = text
            self.variables[name] = text
        elif command == "task.uploadsummary":
            self.run.summary += Path(text).read_text("utf-8")
        elif command == "task.prependpath":
            self.paths.insert(0, text)
        elif command == "artifact.upload":
            keep(self, given["artifactname"], [Path(text)], 0, Path(text).parent)
        else:
            assert command in ("task.logissue", "task.setprogress"), f"unknown: ##vso[{command}]"

    def _macros(self, value: Any, spec: dict[str, Any]) -> str:
        def found(match: re.Match[str]) -> str:
            value = self._value(match[1], None)
            if value is None:
                raise ExpressionError(f"{match[0]} in {spec} stands for nothing")
            return value

        return MACRO.sub(found, AZURE.text(value))

    def _value(self, name: str, otherwise: str | None) -> Any:
        secrets = {"System.AccessToken": tools.SERVICE_TOKEN}
        for key, value in (secrets | self.pipeline.predefined | self.variables).items():
            if key.lower() == name.lower():
                return MACRO.sub(lambda match: self._value(match[1], match[0]), value)
        return otherwise


def shown_job(job: JobRun) -> dict[str, Any]:
    """A job as those that depend on it see it."""
    ran = job.result == "success"
    outputs = Strict(f"the outputs of {job.key}", job.outputs) if ran else dict(job.outputs)
    return {"result": RESULTS[job.result], "outputs": outputs}


def listed(value: Any) -> list[str]:
    """One or several names."""
    return [] if not value else [value] if isinstance(value, str) else list(value)


def pairs(text: str) -> dict[str, str]:
    """The properties of a logging command."""
    return {k.strip().lower(): v for k, _, v in (p.partition("=") for p in text.split(";")) if k}


def holds(text: Any, names: Names, functions: dict[str, Any]) -> bool:
    """Whether a condition holds; without one: after success. One that is written asks itself."""
    if text is None:
        return bool(functions["succeeded"]())
    return AZURE.truth(Evaluation(AZURE, names, functions).value(str(text)))
