"""GitHub Actions: reads the workflows of a project and runs them on a machine.

Sources: GitHub, "Workflow syntax for GitHub Actions", "Contexts reference", "Events that trigger
workflows". What is not known here is an error.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from .expressions import Evaluation, Names, Strict, substitute
from .github_jobs import Job, condition, resolved
from .languages import GITHUB, github_text
from .platforms import IDENTITY, Platform, matches, read_yaml
from .runs import Event, JobRun, Run

REPOSITORY = "someone/churn-model"
EVENTS = {"dispatch": "workflow_dispatch"}


class GitHub(Platform):
    """GitHub as `mlops connect github` leaves it."""

    ci_cd, folder = "github-actions", ".github/workflows"

    def reviewed(self) -> set[str]:
        return {self.environments()[-1][1], "infrastructure"}

    def stage_named(self, name: str) -> str:
        return name.removesuffix(".yml")

    def workflow(self, stage: str, event: Event) -> dict[str, Any]:
        """A workflow as it is in the event's commit."""
        file = self.look_at(event.commit) / self.folder / f"{stage}.yml"
        found: dict[str, Any] = read_yaml(file)
        return found

    def starts(self, stage: str, event: Event) -> bool:
        triggers = self.workflow(stage, event)["on"]
        name = EVENTS.get(event.kind, event.kind)
        if name not in triggers:
            return False
        rules = triggers[name] if isinstance(triggers, dict) else None
        if event.kind == "schedule" or not rules:
            return True
        unknown = set(rules) - {"branches", "paths", "inputs"}
        assert not unknown, f"{stage}: the harness does not know {unknown}"
        branch = "main" if event.kind == "pull_request" else event.branch
        if "branches" in rules and not matches(branch, rules["branches"]):
            return False
        paths = rules.get("paths")
        return not paths or any(matches(path, paths) for path in event.changed)

    def run(self, stage: str, event: Event) -> Run:
        return WorkflowRun(self, stage, event).run()


class WorkflowRun:
    """One run of a workflow."""

    def __init__(self, platform: GitHub, stage: str, event: Event) -> None:
        self.platform, self.event = platform, event
        self.spec = platform.workflow(stage, event)
        self.done = Run(stage, event)
        self.needs: dict[str, JobRun] = {}
        self.inputs = self._inputs()
        concurrency = self.spec.get("concurrency") or {}
        names = Names(github=self.github(), inputs=self.inputs, vars=self.variables(""))
        if not isinstance(concurrency, str):
            assert not (event.kind == "dispatch" and concurrency.get("cancel-in-progress"))
            concurrency = concurrency.get("group", "")
        self.done.queue = github_text(
            substitute(concurrency, Evaluation(GITHUB, names).value, GITHUB)
        )

    def run(self) -> Run:
        """All jobs, one after another, each after those that it needs."""
        left = dict(self.spec["jobs"])
        while left:
            ready = [key for key in left if not set(needed(left[key])) & set(left)]
            assert ready, f"{self.done.stage}: these jobs wait for each other: {list(left)}"
            spec = left.pop(ready[0])
            for need in needed(spec):
                assert need in self.needs, f"{self.done.stage}: there is no job {need}"
            self._run_job(ready[0], spec)
        results = {job.result for job in self.done.jobs}
        self.done.result = "failure" if results & {"failure", "cancelled"} else "success"
        return self.done

    def _run_job(self, key: str, spec: dict[str, Any]) -> None:
        ancestors = list(self._ancestors(key))
        states = {
            "success": lambda: all(self.needs[a].result == "success" for a in ancestors),
            "failure": lambda: any(self.needs[a].result == "failure" for a in ancestors),
            "always": lambda: True,
            "cancelled": lambda: False,
        }
        names = self.names(spec)
        state = JobRun(key)
        left_out = key in self.platform.left_out
        if condition(spec.get("if"), names, states) and not left_out:
            strategy = spec.get("strategy") or {}
            value = Evaluation(GITHUB, names).value
            runs: list[JobRun] = []
            for number, matrix in enumerate(combinations(resolved(strategy.get("matrix"), value))):
                job = Job(self, key, spec, matrix, number)
                self.done.jobs.append(job.run)
                # All that need not wait for each other may have begun before one failed.
                waits = strategy.get("max-parallel") == 1 and strategy.get("fail-fast", True)
                if waits and any(run.result == "failure" for run in runs):
                    job.run.result = "cancelled"
                else:
                    job.execute()
                runs.append(job.run)
            state = runs[-1]
            worst = [r for r in runs if r.result == "failure"] or runs
            self.needs[key] = worst[0]
            if runs and worst[0] is not state:
                self.needs[key].outputs = {**state.outputs, **worst[0].outputs}
        else:
            self.done.jobs.append(state)
            self.needs[key] = state

    def _ancestors(self, key: str) -> Iterator[str]:
        for need in needed(self.spec["jobs"][key]):
            yield need
            yield from self._ancestors(need)

    # --- contexts --------------------------------------------------------------------------------

    def names(self, spec: dict[str, Any]) -> Names:
        """What a job's `if` may name."""
        needs = {}
        for key in needed(spec):
            job = self.needs[key]
            ran = job.result == "success"
            outputs = Strict(f"job {key}", job.outputs) if ran else dict(job.outputs)
            needs[key] = Strict(f"needs.{key}", {"result": job.result, "outputs": outputs})
        return Names(
            github=self.github(), inputs=self.inputs, vars=self.variables(""),
            needs=Strict("needs", needs),
        )  # fmt: skip

    def variables(self, environment: str) -> Strict:
        """The variables of the repository, and of an environment for a job that names it."""
        connected = self.platform.connected
        values = dict.fromkeys(IDENTITY, "") | dict.fromkeys(
            ("MLOPS_CONNECTED", "MLOPS_PLAN"), "true" if connected else ""
        )
        return Strict("vars", values | (IDENTITY if connected and environment else {}))

    def _inputs(self) -> Strict:
        triggers = self.spec["on"]
        rules = (triggers.get("workflow_dispatch") or {}) if isinstance(triggers, dict) else {}
        given, values = dict(self.event.inputs), {}
        for name, rule in (rules.get("inputs") or {}).items():
            value = given.pop(name, None)
            assert value or not rule.get("required"), f"HTTP 422: the input {name} is required"
            values[name] = rule.get("default", "") if value is None else value
            if rule.get("type") == "choice":
                assert values[name] in rule["options"], f"HTTP 422: {name}: {values[name]}"
        assert not given, f"HTTP 422: unexpected inputs: {', '.join(given)}"
        return Strict("inputs", values)

    def github(self) -> Strict:
        """The `github` context."""
        event, pull = self.event, self.event.kind == "pull_request"
        repository = {"full_name": REPOSITORY}
        body: dict[str, Any] = {"repository": {"default_branch": "main", **repository}}
        if pull:
            body["number"] = 1
            body["pull_request"] = {
                "number": 1, "title": "a $(touch /tmp/never) `title`", "draft": False,
                "base": {"sha": event.base, "ref": "main", "repo": repository},
                "head": {"sha": event.commit, "ref": event.branch, "repo": repository},
            }  # fmt: skip
        elif event.kind == "push":
            body["before"], body["after"] = event.base, event.commit
        return Strict("github", {
            "event": body, "event_name": EVENTS.get(event.kind, event.kind), "sha": event.commit,
            "ref": "refs/pull/1/merge" if pull else f"refs/heads/{event.branch}",
            "ref_name": "1/merge" if pull else event.branch, "repository": REPOSITORY,
            "base_ref": "main" if pull else "", "head_ref": event.branch if pull else "",
            "actor": "somebody", "run_id": "1", "run_number": "1", "run_attempt": "1",
            "server_url": "https://github.com", "workflow": self.spec.get("name", ""),
        })  # fmt: skip


def needed(spec: dict[str, Any]) -> list[str]:
    """The jobs that a job needs."""
    needs = spec.get("needs") or []
    return [needs] if isinstance(needs, str) else needs


def combinations(matrix: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The jobs of a matrix; one without any."""
    if matrix is None:
        return [{}]
    assert not {"include", "exclude"} & set(matrix), "the harness does not know them yet"
    assert all(isinstance(v, list) and v for v in matrix.values()), f"an empty matrix: {matrix}"
    return [dict(zip(matrix, row)) for row in itertools.product(*matrix.values())]
