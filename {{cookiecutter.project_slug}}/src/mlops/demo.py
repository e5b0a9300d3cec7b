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

from mlops import promotion, release, training
from mlops.batch_acceptance import accept_in_batches
from mlops.checks import check_project
from mlops.console import number
from mlops.contract import load_contract
from mlops.decisions import Decision
from mlops.documents import InvalidFile
from mlops.errors import Refused
from mlops.inference import score_table
from mlops.probes import request_body
from mlops.project import Project
from mlops.status import overview_of
from mlops.versions import contract_of, deployment_name
from mlops.workspaces import ModelVersion, Report, Response, Workspace

# What the second model of the demo is trained with, so that there is a challenger.
CHALLENGER = {"learning_rate": "0.08"}


@dataclass
class Account:
    """What happened. `answer` and `scored` are None where nothing was asked or scored."""

    seconds: dict[str, float] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    answer: Response | None = None
    scored: int | None = None
    data: str = ""
    next_commands: list[str] = field(default_factory=list)

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
        if self.scored is not None:
            yield "\nHow a table was scored in a batch"
            yield f"  {self.scored} rows scored"
        yield "\nHow long each stage took"
        for name, seconds in self.seconds.items():
            yield f"  {seconds:6.1f} s  {name}"
        yield f"  {sum(self.seconds.values()):6.1f} s  in all"
        yield f"\nThe data is a sample: {self.data}. docs/your-own-data.md says how to use yours."
        yield "\nTry next"
        for command in self.next_commands:
            yield f"  {command}"


def run(
    project: Project, workspace: Callable[[str], Workspace], last: str, *, report: Report
) -> Account:
    """Train two versions, take both through the environments up to `last`, and ask the second.

    Where there is an online endpoint, the second is rolled out beside the first, rolled back and
    rolled out again, and answers a request; where there is a batch endpoint, it scores a table.
    """
    demo = _Demo(project, workspace, last, report)
    with demo.stage("check the project's files"):
        if findings := check_project(project, with_azure=False):
            raise InvalidFile(findings)
    demo.bring("first", {})
    version = demo.bring("second", CHALLENGER)
    if demo.final.environment.serves("online"):
        demo.go_back_and_forward(version)
        demo.invoke(version)
    if demo.final.environment.serves("batch"):
        demo.score()
    demo.account.states = [overview_of(workspace(name)).state for name in demo.path]
    demo.account.next_commands = demo.next_commands()
    return demo.account


class _Demo:
    """The stages of a run, each of which adds to the account."""

    def __init__(
        self, project: Project, workspace: Callable[[str], Workspace], last: str, report: Report
    ) -> None:
        self.project, self.workspace, self.report = project, workspace, report
        self.path = project.environments[: project.environments.index(last) + 1]
        self.final = workspace(last)
        self.table = (project.training_pipeline.parent / training.default_data(project)).resolve()
        self.account = Account(data=load_contract(project.contract).title)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Say what begins, and note how long it took."""
        self.report(f"== {name}")
        started = time.perf_counter()
        yield
        seconds = self.account.seconds
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started

    def bring(self, title: str, settings: dict[str, str]) -> ModelVersion:
        """Train a model and take it through all environments; its version in the last one."""
        version = self._train(title, settings)
        for name in self.path:
            workspace = self.workspace(name)
            environment = workspace.environment
            if name != self.path[0]:
                version = self._promote(title, version, workspace)
            if "batch" in environment.settings.tests:
                self._test_in_batches(title, version, workspace)
            tested = "rollout" in environment.settings.tests
            if environment.serves("online") and (tested or workspace is self.final):
                with self.stage(f"deploy and roll out the {title} model in {name}"):
                    self._release(workspace, version)
        return version

    def go_back_and_forward(self, version: ModelVersion) -> None:
        """Roll back to the deployment before, if there is one, and roll out again."""
        if not self.final.endpoint().tags.get(release.PREVIOUS):
            return
        with self.stage(f"roll back in {self.path[-1]}, and forward again"):
            self.account.decisions.append(release.rollback(self.final, report=self.report))
            self._release(self.final, version)

    def invoke(self, version: ModelVersion) -> None:
        """Send a request to the online endpoint."""
        with self.stage(f"invoke in {self.path[-1]}"):
            rows = contract_of(self.final, version).examples(1)
            self.account.answer = self.final.invoke(request_body(rows))

    def score(self) -> None:
        """Score the sample in batches."""
        with self.stage(f"score in {self.path[-1]}"):
            target = self.project.state / "demo" / "scores.parquet"
            _, rows = score_table(self.final, self.table, target, None, report=self.report)
            self.account.scored = rows

    def next_commands(self) -> list[str]:
        """Commands that work now, from the folder that the demo was started in."""
        last, program = self.path[-1], _program()
        if self.final.environment.settings.azure.subscription_id:
            program = f"MLOPS_LOCAL=1 {program}"  # as this demo did
        if self.final.environment.serves("online"):
            use = f"serve --env {last}"
        else:
            use = f"score --env {last} --input {os.path.relpath(self.table)} --output scores.csv"
        return [f"{program} {words}" for words in ("status", use, f"ui --env {self.path[0]}")]

    def _train(self, title: str, settings: dict[str, str]) -> ModelVersion:
        first = self.workspace(self.path[0])
        with self.stage(f"train the {title} model in {self.path[0]}"):
            trained = training.train(self.project, first, settings=settings, report=self.report)
        self.account.decisions.append(trained.decision)
        if trained.version is None:
            refusals = "; ".join(trained.decision.refusals)
            raise Refused(f"the gate refused the {title} model: {refusals}")
        return trained.version

    def _promote(self, title: str, version: ModelVersion, target: Workspace) -> ModelVersion:
        with self.stage(f"promote the {title} model to {target.environment.name}"):
            source = self.workspace(version.environment)
            received, decision = promotion.promote(
                self.project, source, target, version.number, report=self.report
            )
        self.account.decisions.append(decision)
        return received

    def _test_in_batches(self, title: str, version: ModelVersion, target: Workspace) -> None:
        with self.stage(
            f"score the held-out rows with the {title} model in {target.environment.name}"
        ):
            self.account.decisions.append(
                accept_in_batches(target, version.number, report=self.report)
            )

    def _release(self, workspace: Workspace, version: ModelVersion) -> None:
        endpoint = workspace.endpoint()
        name = deployment_name(version)
        if endpoint.traffic.get(name) == 100:
            self.report(f"{name} has all the traffic of {endpoint.name} already")
            return
        if name not in endpoint.deployments:
            self.account.decisions += release.deploy(workspace, version.number, report=self.report)
        rolled_out = release.rollout(workspace, version.number, report=self.report)
        self.account.decisions.append(rolled_out)


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
    deployments = state["endpoint"]["deployments"] if state["endpoint"] else []
    shares = [f"{d['name']} {d['traffic']} %" for d in deployments]
    traffic = f"; traffic: {', '.join(shares)}" if shares else ""
    return f"version {champion['version']} (trained as {champion['origin']}) {metrics}{traffic}"
