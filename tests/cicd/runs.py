"""What happened on a platform: events, and runs with their jobs and steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["pull_request", "push", "schedule", "dispatch"]
Result = Literal["success", "failure", "skipped", "cancelled"]


@dataclass(frozen=True)
class Event:
    """What starts a run. `base` and `changed` (paths) say what a push or a pull request brings."""

    kind: Kind
    commit: str
    branch: str = "main"
    base: str = ""
    changed: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)


@dataclass
class StepRun:
    """A step: what it printed, and how it ended. `stand_in`: only the platform can do it."""

    name: str
    result: Result
    output: str = ""
    seconds: float = 0.0
    stand_in: bool = False


@dataclass
class JobRun:
    """A job. `artifacts` are the files that it kept, and for how many days."""

    key: str
    result: Result = "skipped"
    environment: str = ""
    permissions: dict[str, str] = field(default_factory=dict)
    signed_in: str = ""
    steps: list[StepRun] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    summary: str = ""
    artifacts: dict[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)

    def output_named(self, name: str) -> Any:
        """An output, whatever the platform puts before its name."""
        return next(v for k, v in self.outputs.items() if k.split(".")[-1] == name)

    @property
    def output(self) -> str:
        """All that its steps printed."""
        return "\n".join(f"--- {s.name}: {s.result}\n{s.output}" for s in self.steps)

    @property
    def seconds(self) -> float:
        """How long its own commands took."""
        return sum(step.seconds for step in self.steps)


@dataclass
class Run:
    """A run of a workflow or pipeline. `queue` is what no two runs may be in at the same time."""

    stage: str
    event: Event
    jobs: list[JobRun] = field(default_factory=list)
    queue: str = ""
    result: Result = "success"

    def job(self, key: str) -> JobRun:
        """The job with this name; of a matrix, the last one."""
        found = [job for job in self.jobs if key in (job.key, *job.key.split("/"))]
        assert found, f"{self.stage} has no job {key}; it has {[job.key for job in self.jobs]}"
        return found[-1]

    @property
    def ran(self) -> list[JobRun]:
        """The jobs that were not skipped."""
        return [job for job in self.jobs if job.result not in ("skipped", "cancelled")]

    @property
    def summary(self) -> str:
        """All summaries."""
        return "".join(job.summary for job in self.jobs)

    @property
    def output(self) -> str:
        """All that was printed."""
        return "\n".join(f"=== {self.stage}: {j.key}: {j.result}\n{j.output}" for j in self.jobs)

    @property
    def failures(self) -> str:
        """How each job ended, and the end of what its failed steps printed."""
        return "\n".join(
            f"=== {job.key}: {job.result}"
            + "".join(
                f"\n--- {step.name}: {step.output[-4000:]}"
                for step in job.steps
                if step.result == "failure"
            )
            for job in self.jobs
        )

    def must(self, result: Result = "success") -> Run:
        """Require the run's result."""
        assert self.result == result, f"{self.stage} ended with {self.result}\n{self.failures}"
        return self


def read_pairs(file: Path) -> dict[str, str]:
    """The `name=value` lines of a file, and values of several lines between delimiters.

    Source: GitHub, "Workflow commands for GitHub Actions", environment files.
    """
    values: dict[str, str] = {}
    lines = iter(file.read_text("utf-8").splitlines() if file.is_file() else [])
    for line in lines:
        name, equals, value = line.partition("=")
        if "<<" in name or (not equals and "<<" in line):
            name, _, delimiter = line.partition("<<")
            taken: list[str] = []
            for more in lines:
                if more == delimiter:
                    break
                taken.append(more)
            value = "\n".join(taken)
        elif not equals:
            assert not line.strip(), f"{file.name}: this is no name=value: {line}"
            continue
        values[name] = value
    return values
