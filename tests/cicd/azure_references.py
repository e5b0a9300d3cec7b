"""What the Azure Pipelines files of a project refer to: does all of it exist, and is it used rightly?

`findings` gives a sentence for each thing that is not there or not right; none means a clean bill.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .github_references import environments_of, read
from .shell_references import READ_BY_PROGRAMS, Script, Surroundings, outputs_of

IMAGES = {"ubuntu-24.04"}
# The inputs that we give to each task, of those that it has.
TASKS = {
    "AzureCLI@2": {
        "azureSubscription", "keepAzSessionActive", "scriptType", "scriptLocation", "inlineScript"
    },
    "Cache@2": {"key", "path"},
    "CopyFiles@2": {"SourceFolder", "Contents", "TargetFolder"},
    "UsePythonVersion@0": {"versionSpec"},
}  # fmt: skip
# What the agent sets; as macros, and for scripts in capitals with `_`.
OF_AGENT = {
    "Agent.OS", "Agent.TempDirectory", "Build.ArtifactStagingDirectory", "Build.Reason",
    "Build.Repository.Id", "Build.SourceBranch", "Build.SourceBranchName", "Pipeline.Workspace",
    "System.AccessToken", "System.CollectionUri", "System.JobAttempt", "System.TeamProject",
    "System.TeamProjectId", "System.PullRequest.IsFork", "System.PullRequest.PullRequestId",
    "System.PullRequest.TargetBranch",
}  # fmt: skip
SET_BY_AGENT = {name.upper().replace(".", "_") for name in OF_AGENT - {"System.AccessToken"}}
ENVIRONMENTS = {  # of the platform, and of the connections through which a job signs in
    "environment": "environment_", "azureSubscription": "service_connection_"
}  # fmt: skip


def findings(project: Path) -> list[str]:
    """All that is wrong with a project's `.azure-pipelines`."""
    folder = project / ".azure-pipelines"
    found = []
    for file in sorted([*folder.glob("*.yml"), *folder.glob("steps/*.yml")]):
        place = file.relative_to(folder)
        found += [f"{place}: {finding}" for finding in Pipeline(project, file).findings()]
    return found


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """All mappings under a value, itself too."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, (dict, list)):
            yield from mappings(part)


def texts(value: Any) -> Iterator[str]:
    """All texts under a value, and the keys that are expressions."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from [key] if key.startswith("${{") else []
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    else:
        yield value


def names_in(value: Any) -> list[str]:
    """One name, or several."""
    return [value] if isinstance(value, str) else list(value)


def script_of(step: dict[str, Any]) -> str:
    """The script of a step, or nothing."""
    return str(step.get("bash") or step.get("inputs", {}).get("inlineScript") or "")


def set_by(text: str) -> set[str]:
    """The variables that scripts set for the steps after them."""
    return set(re.findall(r"task\.setvariable variable=(\w+)", text))


class Pipeline:
    """One pipeline or template of steps, and the project that it stands in."""

    def __init__(self, project: Path, file: Path) -> None:
        self.project, self.file, self.spec = project, file, read(file)
        self.folder = project / ".azure-pipelines"
        self.names: dict[str, str] = read(self.folder / "names.yaml")["variables"]
        self.parameters = {part["name"]: part for part in self.spec.get("parameters", [])}
        self.environments = list(environments_of(project))
        self.jobs = [part for part in mappings(self.spec) if {"job", "deployment"} & set(part)]
        stages = [part for part in mappings(self.spec) if "stage" in part]
        self.stages = {part["stage"]: part for part in stages}

    def findings(self) -> Iterator[str]:
        """What is wrong in this file."""
        yield from self._expressions()
        if self.file.parent != self.folder:
            yield from self._steps({"steps": self.spec["steps"]}, ready=True)
            return
        if "trigger" not in self.spec or self.spec.get("pr") != "none":
            yield "it must say what triggers it, and `pr: none`"
        if self.spec.get("pool", {}).get("vmImage") not in IMAGES:
            yield "its pool is no current image"
        triggers = self.spec.get("trigger")
        for path in triggers.get("paths", {}).get("include", []) if triggers != "none" else []:
            if not (self.project / path).exists():
                yield f"there is no {path}"
        if any("deployment" in job for job in self.jobs) and "lockBehavior" not in self.spec:
            yield "two runs may deploy at once: it has no lockBehavior"
        for stage in self.stages.values():
            for other in texts(stage.get("dependsOn", [])):
                if other not in self.stages and not other.startswith("${{ "):
                    yield f"there is no stage {other}"
        for job in self.jobs:
            key = job.get("job") or job.get("deployment")
            if key == "plan" and "IsFork'], 'True'" not in self.stages["plan"].get("condition", ""):
                yield "plan: a fork's code would run with rights"
            yield from (f"{key}: {finding}" for finding in self._job(job))

    def _job(self, job: dict[str, Any]) -> Iterator[str]:
        if not 0 < int(job.get("timeoutInMinutes", 0)) <= 360:
            yield "it has no timeout"
        if "displayName" not in job:
            yield "it has no displayName"
        steps = list(mappings(job))
        targets = [one.get("parameters", {}).get("target") for one in steps if "template" in one]
        signs_in = any("azureSubscription" in one.get("inputs", {}) for one in steps)
        if signs_in and "azure" not in targets:
            yield "what signs in needs the set-up of `azure`"
        cached = [one for one in steps if str(one.get("template")).endswith("setup.yml")]
        if "deployment" in job and any(
            one.get("parameters", {}).get("cache") != "no" for one in cached
        ):
            yield 'Cache@2 does not always work in a deployment job: `cache: "no"`'
        needs, known = names_in(job.get("dependsOn", [])), {part.get("job") for part in self.jobs}
        for need in needs:
            if need not in known:
                yield f"there is no job {need}"
        for other, step, name in re.findall(
            r"(?<![Ds])dependencies\.(\w+)\.outputs\['(\w+)\.(\w+)'\]", "\n".join(texts(job))
        ):
            if other not in needs or not self._publishes(other, step, name):
                yield f"there is no output {other}.{step}.{name}"
        for stage, other, key, step, name in re.findall(
            r"stageDependencies\.(\w+)\.(\w+)\.outputs\['(\w+)\.(\w+)\.(\w+)'\]",
            "\n".join(texts(job)),
        ):
            if stage not in self.stages or other != key or not self._publishes(other, step, name):
                yield f"there is no output {stage}.{other}.{step}.{name}"
        yield from self._steps(job)

    def _publishes(self, job: str, step: str, name: str) -> bool:
        """Whether a job has a step of that name that publishes an output of that name."""
        return any(
            part.get("name") == step and name in outputs_of(script_of(part))
            for other in self.jobs
            if job in (other.get("job"), other.get("deployment"))
            for part in mappings(other)
        )

    def _steps(self, job: dict[str, Any], ready: bool = False) -> Iterator[str]:
        kinds = {"checkout", "template", "bash", "task", "publish"}
        steps = [part for part in mappings(job) if kinds & set(part)]
        if not ready and (not steps or "checkout" not in steps[0]):
            yield "it does not begin with a checkout"
        ready = ready or steps[0].get("checkout") == "self"
        variables = job.get("variables", {})
        set_here = set_by("\n".join(texts(job)))
        if self.file.parent != self.folder:  # a template: what another one sets is there
            for file in self.file.parent.glob("*.yml"):
                set_here |= set_by(file.read_text("utf-8"))
        for step in steps:
            if "template" in step:
                yield from self._template(step)
                file = self.file.parent / step["template"]
                set_here |= set_by(file.read_text("utf-8")) if file.is_file() else set()
            if "task" in step:
                yield from self._task(step)
            pushes = "git push" in "\n".join(script_of(part) for part in steps)
            if step.get("persistCredentials") == "true" and not pushes:
                yield "the checkout leaves its credentials behind"
            if script := script_of(step):
                yield from self._script(script, step, ready, set_here)
            macros = {key: part for key, part in step.items() if key not in ("bash", "inputs")}
            inputs = {k: v for k, v in step.get("inputs", {}).items() if k != "inlineScript"}
            for name in re.findall(r"\$\(([\w.]+)\)", "\n".join(texts([macros, inputs]))):
                owner, _, output = name.partition(".")
                own = [part for part in steps if part.get("name") == owner]
                published = any(output in outputs_of(script_of(part)) for part in own)
                if not (published or name in OF_AGENT | set(variables) | set_here):
                    yield f"there is no $({name})"

    def _template(self, step: dict[str, Any]) -> Iterator[str]:
        file = self.file.parent / step["template"]
        if not file.is_file():
            yield f"there is no {step['template']}"
            return
        known = {part["name"]: part for part in read(file).get("parameters", [])}
        for name, value in step.get("parameters", {}).items():
            if name not in known:
                yield f"{step['template']} has no parameter {name}"
            elif value not in known[name].get("values", [value]):
                yield f"{step['template']}: {name} cannot be {value}"
        surroundings = Surroundings("azure-devops", self.project, [], set())
        for value in known.get("target", {}).get("values", []):
            yield from surroundings.findings(f"make {value}")

    def _task(self, step: dict[str, Any]) -> Iterator[str]:
        name, given = step["task"], step.get("inputs", {})
        if name not in TASKS:
            yield f"{name} is a task that this check does not know"
        elif set(given) != TASKS[name]:
            yield f"{name} takes {sorted(TASKS[name])}, not {sorted(given)}"
        if name == "AzureCLI@2" and given.get("keepAzSessionActive") != "true":
            yield "the sign-in ends before a long step does: keepAzSessionActive"
        for path in re.findall(r"\| ([\w-]+(?:/[\w.-]+|\.\w+))", given.get("key", "")):
            if not (self.project / path).is_file():
                yield f"there is no {path}"

    def _script(
        self, script: str, step: dict[str, Any], ready: bool, set_here: set[str]
    ) -> Iterator[str]:
        given = set(step.get("env", {}))
        if "${{" in script or re.search(r"\$\([\w.]+\)", script):
            yield "an expression in a script is an injection: hand it over by `env`"
        if "\n" in script.strip() and not script.startswith("set -e\n"):
            yield "Azure Pipelines goes on after a command that fails: begin with `set -e`"
        if not ready and ".venv" in script:
            yield "there is no checkout before it"
        if re.search(r"\baz (devops|pipelines|repos|boards) |--on azure-devops", script):
            if "AZURE_DEVOPS_EXT_PAT" not in given:
                yield "az needs AZURE_DEVOPS_EXT_PAT"
            if not ready and "--organization" not in script:
                yield "without a checkout, az needs --organization"
        known = given | SET_BY_AGENT | set_here
        surroundings = Surroundings("azure-devops", self.project, self.environments, known)
        yield from surroundings.findings(script)
        for name in sorted(given - Script(script).read() - READ_BY_PROGRAMS):
            yield f"nothing reads {name}"
        for words in Script(script).commands():
            if words[:3] == ["az", "pipelines", "run"]:
                yield from self._started(words, step["env"].get("PIPELINE", ""))

    def _started(self, words: list[str], name: str) -> Iterator[str]:
        stem = name.removeprefix("${{ variables.model }}-")
        file = self.folder / f"{stem}.yml"
        if stem == name or not file.is_file() or "$PIPELINE" not in words:
            yield f"there is no pipeline {name}"
            return
        known = {part["name"]: part for part in read(file).get("parameters", [])}
        start = words.index("--parameters") + 1 if "--parameters" in words else len(words)
        given = {word.partition("=")[0] for word in words[start:]}
        needed = {key for key, part in known.items() if "default" not in part}
        if given - set(known) or needed - given:
            yield f"{file.name} takes {sorted(known)}, not {sorted(given)}"

    def _expressions(self) -> Iterator[str]:
        included = self.spec.get("variables") == [{"template": "names.yaml"}]
        for text in texts(self.spec):
            for name in re.findall(r"\bparameters\.(\w+)", text):
                if name not in self.parameters:
                    yield f"there is no parameter {name}"
            for name in re.findall(r"\bvariables\.(\w+)", text):
                if not included or name not in self.names:
                    yield f"names.yaml has no {name}"
            for name in re.findall(r"\bvariables\['([\w.]+)'\]", text):
                if name not in OF_AGENT and not self._step_output(name):
                    yield f"there is no variable {name}"
            for name in re.findall(r"variables\[format\('(\w+)_\{0\}', name\)\]", text):
                later = self.environments[1:]
                missing = [part for part in later if f"{name}_{part}" not in self.names]
                if missing:
                    yield f"names.yaml has no {name}_{missing[0]}"
        for part in mappings(self.spec):
            for key, start in ENVIRONMENTS.items():
                value = part.get(key, "")
                ours = rf"\$\{{\{{ variables(\.{start}|\[format\('{start})"
                if value and not re.match(ours, value):
                    yield f"{key}: {value} does not come from names.yaml"

    def _step_output(self, name: str) -> bool:
        owner, _, output = name.partition(".")
        steps = [part for part in mappings(self.spec) if part.get("name") == owner]
        return any(output in outputs_of(script_of(part)) for part in steps)
