"""The whole loop on this machine, and a short account of what happened."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops import release, training
from mlops.checks import check_project
from mlops.console import number
from mlops.contract import load_contract
from mlops.decisions import Decision
from mlops.documents import InvalidFile
from mlops.errors import Refused
from mlops.inference import score_table
from mlops.probes import request_body
from mlops.project import Project
from mlops.status import status_of
from mlops.workspaces import ModelVersion, Report, Response, Workspace

# What the second model of the demo is trained with, so that there is a challenger.
CHALLENGER = {"learning_rate": "0.08"}


@dataclass
class Account:
    """What happened."""

    seconds: dict[str, float] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    answer: Response | None = None
    scored: int = 0
    first: str = ""
    last: str = ""
    data: str = ""
    program: str = "mlops"

    def record(self) -> dict[str, Any]:
        """The account as JSON holds it."""
        return {
            "seconds": self.seconds,
            "decisions": [decision.record() for decision in self.decisions],
            "environments": self.states,
            "answer": self.answer.body if self.answer else None,
            "scored_rows": self.scored,
        }

    def lines(self) -> Iterator[str]:
        """The account in plain words."""
        yield "\nWhich model version is where"
        for state in self.states:
            yield f"  {state['environment']}: {_where(state)}"
        yield "\nWhat each gate decided"
        for decision in self.decisions:
            if decision.kind in ("gate", "promotion"):
                verdict = "accepted" if decision.accepted else "refused"
                yield (
                    f"  {decision.environment}, {decision.kind} of version {decision.version}: "
                    f"{verdict}, {len(decision.checks)} checks"
                )
                yield f"    {decision.checks[-1].show()}"
        if self.answer:
            yield "\nHow the endpoint answered"
            yield f"  {self.answer.deployment} in {self.answer.milliseconds:.0f} ms: {self.answer.body[:200]}"
            yield f"  in a batch: {self.scored} rows scored"
        yield "\nHow long each stage took"
        for name, seconds in self.seconds.items():
            yield f"  {seconds:6.1f} s  {name}"
        yield f"  {sum(self.seconds.values()):6.1f} s  in all"
        yield f"\nThe data is a sample: {self.data}. docs/your-own-data.md says how to use yours."
        yield "\nTry next"
        for command in ("status", f"serve --env {self.last}", f"ui --env {self.first}"):
            yield f"  {self.program} {command}"


def run(
    project: Project, workspace: Callable[[str], Workspace], last: str, *, report: Report
) -> Account:
    """Train two versions and take both through the environments up to `last`.

    The second is rolled out beside the first there, rolled back, and rolled out again.
    """
    account = Account(
        first=project.environments[0],
        last=last,
        data=load_contract(project.contract).title,
        program=_program(),
    )

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        report(f"== {name}")
        started = time.perf_counter()
        yield
        account.seconds[name] = account.seconds.get(name, 0.0) + time.perf_counter() - started

    path = project.environments[: project.environments.index(last) + 1]
    with stage("check the project's files"):
        if findings := check_project(project, with_azure=False):
            raise InvalidFile(findings)
    for title, settings in (("first", {}), ("second", CHALLENGER)):
        with stage(f"train the {title} model in {path[0]}"):
            trained = training.train(project, workspace(path[0]), settings=settings, report=report)
        account.decisions.append(trained.decision)
        if trained.version is None:
            raise Refused(
                f"the gate refused the {title} model: {'; '.join(trained.decision.refusals)}"
            )
        version = trained.version
        for name in path:
            if name != path[0]:
                with stage(f"promote the {title} model to {name}"):
                    source = workspace(project.environments[project.environments.index(name) - 1])
                    version, decision = release.promote(
                        project, source, workspace(name), version.number, report=report
                    )
                account.decisions.append(decision)
            if "rollout" in workspace(name).environment.settings.tests or name == last:
                with stage(f"deploy and roll out the {title} model in {name}"):
                    account.decisions += _release(workspace(name), version, report)
    final = workspace(last)
    if final.endpoint().tags.get(release.PREVIOUS):
        with stage(f"roll back in {last}, and forward again"):
            account.decisions.append(release.rollback(final, report=report))
            account.decisions += _release(final, version, report)
    with stage(f"invoke and score in {last}"):
        contract = release.contract_of(final, version)
        account.answer = final.invoke(request_body(contract.examples(1)))
        table = project.training_pipeline.parent / training.default_data(project)
        target = Path(project.state / "demo" / "scores.parquet")
        _, account.scored = score_table(final, table, target, None, report=report)
    account.states = [status_of(workspace(name)) for name in path]
    return account


def _release(workspace: Workspace, version: ModelVersion, report: Report) -> list[Decision]:
    endpoint = workspace.endpoint()
    name = release.deployment_name(version)
    if endpoint.traffic.get(name) == 100:
        report(f"{name} has all the traffic of {endpoint.name} already")
        return []
    done = []
    if name not in endpoint.deployments:
        done.append(release.deploy(workspace, version.number, report=report))
    return [*done, release.rollout(workspace, version.number, report=report)]


def _program() -> str:
    """How `mlops` is called from here: by its path, where that is not on the path of programs."""
    program = Path(sys.argv[0])
    if shutil.which("mlops") or program.name != "mlops":
        return "mlops"
    return os.path.relpath(program)


def _where(state: dict[str, Any]) -> str:
    champion = state["champion"]
    if champion is None:
        return "no model"
    metrics = ", ".join(f"{name} {number(value)}" for name, value in champion["metrics"].items())
    shares = [f"{d['name']} {d['traffic']} %" for d in state["endpoint"]["deployments"]]
    traffic = f"; traffic: {', '.join(shares)}" if shares else ""
    return f"version {champion['version']} (trained as {champion['origin']}) {metrics}{traffic}"
