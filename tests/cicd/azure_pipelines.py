"""Azure Pipelines: reads the pipelines of a project and runs them on a machine.

Sources: Azure Pipelines, "YAML schema", "Conditions", "Define variables", "Set variables in scripts",
"Deployment jobs", "Predefined variables"; azure-pipelines-tasks, issue 10125: no script stops at a
command that fails, but for `set -e`. What is not known here is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .azure_jobs import RESULTS, Job, holds, listed
from .azure_templates import expand_pipeline
from .expressions import Names, Strict
from .platforms import Platform, matches, read_yaml
from .runs import Event, JobRun, Result, Run

REASONS = {
    "pull_request": "PullRequest",
    "push": "IndividualCI",
    "schedule": "Schedule",
    "dispatch": "Manual",
}
# The branch policies that `mlops connect azure-devops` sets on main, and their path filters.
POLICIES = {"integration": ["**"], "infrastructure": ["infrastructure/**", "environments/**"]}


class AzureDevOps(Platform):
    """Azure DevOps as `mlops connect azure-devops` leaves it."""

    ci_cd, folder = "azure-devops", ".azure-pipelines"
    slug = "churn-model"

    def reviewed(self) -> set[str]:
        return {self.environments()[-1][1], f"{self.slug}-infrastructure"}

    def known(self) -> set[str]:
        """The platform's environments."""
        return {name for _, name in self.environments()} | {f"{self.slug}-infrastructure"}

    def connections(self) -> set[str]:
        """The service connections."""
        names = [name for name, _ in self.environments()]
        files = [read_yaml(self.desk / "environments" / f"{name}.yml") for name in names]
        made = {file["ci_cd"]["service_connection"] for file in files}
        return made | {f"azure-{self.slug}-{name}" for name in ("infrastructure", "monitoring")}

    def stage_named(self, name: str) -> str:
        assert name.startswith(f"{self.slug}-"), f"there is no pipeline {name}"
        return name.removeprefix(f"{self.slug}-")

    def starts(self, stage: str, event: Event) -> bool:
        spec = read_yaml(self.look_at(event.commit) / self.folder / f"{stage}.yml")
        if event.kind == "dispatch":
            return True
        if event.kind == "schedule":
            return bool(spec.get("schedules"))
        if event.kind == "pull_request":
            assert spec.get("pr", "none") == "none", "Azure Repos ignores `pr`: policies start it"
            paths = POLICIES.get(stage, [])
            return any(matches(path, paths) for path in event.changed)
        trigger = spec.get("trigger", "none")
        if trigger == "none":
            return False
        assert set(trigger) <= {"branches", "paths"}, f"the harness does not know {trigger}"
        paths = trigger.get("paths", {}).get("include")
        inside = [pattern for path in paths or [] for pattern in (path, f"{path}/**")]
        return matches(event.branch, trigger["branches"]["include"]) and (
            not paths or any(matches(path, inside) for path in event.changed)
        )

    def run(self, stage: str, event: Event) -> Run:
        return PipelineRun(self, stage, event).run()


class PipelineRun:
    """One run of a pipeline."""

    def __init__(self, platform: AzureDevOps, stage: str, event: Event) -> None:
        self.platform, self.event = platform, event
        file = platform.look_at(event.commit) / platform.folder / f"{stage}.yml"
        self.predefined = self._predefined(stage)
        # Inputs with an empty value are left out by `az pipelines run`.
        spec, self.variables = expand_pipeline(file, self.predefined, event.inputs)
        if "stages" not in spec:
            spec["stages"] = [{"stage": "__default", "jobs": spec["jobs"]}]
        self.stages: dict[str, dict[str, Any]] = {one["stage"]: one for one in spec["stages"]}
        assert len(self.stages) == len(spec["stages"]), f"{stage}: two stages have one name"
        self.done = Run(stage, event, queue=stage if spec.get("lockBehavior") else "")
        self.results: dict[str, Result] = {}
        self.jobs: dict[str, dict[str, JobRun]] = {}

    def _predefined(self, stage: str) -> dict[str, str]:
        event, machine = self.event, self.platform.machine
        pull = event.kind == "pull_request"
        branch = "refs/pull/1/merge" if pull else f"refs/heads/{event.branch}"
        found = {
            "Agent.OS": "Linux", "Agent.TempDirectory": str(machine.temp), "Agent.JobStatus": "",
            "Build.BuildId": "1", "Build.DefinitionName": f"{self.platform.slug}-{stage}",
            "Build.Reason": REASONS[event.kind], "Build.Repository.ID": "repository-id",
            "Build.Repository.Name": self.platform.slug, "Build.SourceBranch": branch,
            "Build.SourceBranchName": branch.rpartition("/")[2], "Build.SourceVersion": event.commit,
            "Build.ArtifactStagingDirectory": str(machine.temp / "staging"),
            "Build.SourcesDirectory": str(machine.folder),
            "Pipeline.Workspace": str(machine.folder.parent),
            "System.CollectionUri": "https://dev.azure.com/someone/",
            "System.DefaultWorkingDirectory": str(machine.folder),
            "System.TeamProject": "a project", "System.TeamProjectId": "project-id",
            "System.JobAttempt": "1", "System.PullRequest.IsFork": "False",
        }  # fmt: skip
        if pull:
            found["System.PullRequest.PullRequestId"] = "1"
            found["System.PullRequest.TargetBranch"] = "refs/heads/main"
            found["System.PullRequest.SourceBranch"] = f"refs/heads/{event.branch}"
        return found

    def run(self) -> Run:
        """All stages in their order; by default, each after the one before it."""
        before: list[str] = []
        for key, stage in self.stages.items():
            stage["dependsOn"] = listed(stage["dependsOn"]) if "dependsOn" in stage else before
            before = [key]
        for key in ordered({k: s["dependsOn"] for k, s in self.stages.items()}):
            self._run_stage(key, self.stages[key])
        failed = {job.result for job in self.done.jobs} & {"failure", "cancelled"}
        self.done.result = "failure" if failed else "success"
        return self.done

    def _run_stage(self, key: str, stage: dict[str, Any]) -> None:
        depends = {k: s["dependsOn"] for k, s in self.stages.items()}
        names = self.names(self.variables)
        names["dependencies"] = Strict(f"dependencies of {key}", {
            other: {"result": RESULTS[self.results[other]], "outputs": self._stage_outputs(other)}
            for other in stage["dependsOn"]
        })  # fmt: skip
        self.jobs[key] = {}
        results = self.results
        begins = holds(stage.get("condition"), names, states(depends, key, results))
        jobs = {job.get("job") or job["deployment"]: job for job in stage["jobs"]}
        job_results: dict[str, Result] = {}
        waits = {name: listed(job.get("dependsOn")) for name, job in jobs.items()}
        for name in ordered(waits):
            run = Job(self, stage, name, jobs[name])
            self.jobs[key][name] = run.run
            self.done.jobs.append(run.run)
            now = states(waits, name, job_results)
            wanted = begins and name not in self.platform.left_out
            if wanted and holds(jobs[name].get("condition"), run.before, now):
                run.execute()
            job_results[name] = run.run.result
        found = set(job_results.values())
        ended: Result = "skipped" if found == {"skipped"} else "success"
        self.results[key] = "failure" if "failure" in found else ended

    def _stage_outputs(self, stage: str) -> dict[str, Any]:
        return {
            f"{name}.{key}": value
            for name, job in self.jobs[stage].items()
            for key, value in job.outputs.items()
        }

    def names(self, variables: dict[str, str]) -> Names:
        """What a condition may name."""
        return Names(variables=Strict("variables", self.predefined | variables))


def ordered(waits: dict[str, list[str]]) -> Iterator[str]:
    """The names, each after those that it waits for."""
    left = dict(waits)
    while left:
        missing = {other for others in left.values() for other in others} - set(waits)
        assert not missing, f"nothing is called {missing}"
        ready = [name for name, others in left.items() if not set(others) & set(left)]
        assert ready, f"these wait for each other: {list(left)}"
        del left[ready[0]]
        yield ready[0]


def ancestors(waits: dict[str, list[str]], name: str) -> set[str]:
    """All that come before, as far back as it goes."""
    return {one for other in waits[name] for one in {other} | ancestors(waits, other)}


def states(waits: dict[str, list[str]], name: str, results: dict[str, Result]) -> dict[str, Any]:
    """The functions that ask how what comes before has ended."""

    def of(names: tuple[str, ...]) -> list[Result]:
        return [results[one] for one in names or ancestors(waits, name)]

    return {
        "succeeded": lambda *names: all(result == "success" for result in of(names)),
        "failed": lambda *names: any(result == "failure" for result in of(names)),
        "succeededOrFailed": lambda *names: all(r in ("success", "failure") for r in of(names)),
        "always": lambda: True,
        "canceled": lambda: False,
    }
