"""A model in production on data that drifts by itself: what is seen, and what is done about it.

A public table with time in it (`monitoring/demo/`) is played again: a model is trained on the early
years and released; then come the later ones, a window at a time, with the labels of each at its
end. All that happens is what the commands do, in a copy of the project.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import Field

from mlops import clock, data, events, retraining, training
from mlops.contract import Contract, load_contract
from mlops.delivery import deliver
from mlops.documents import Settings, read_yaml, validate
from mlops.drift_account import Account, Window
from mlops.errors import MlopsError, Refused, UsageError
from mlops.files import write_text
from mlops.inference import score_table
from mlops.monitoring.act import Monitoring, monitor
from mlops.monitoring.report.monitor_page import monitor_page
from mlops.probes import request_body
from mlops.project import Project, find_project
from mlops.sources import GROUND_TRUTH, TRAINING
from mlops.workspaces import Location, Report, Workspace, open_workspace

if TYPE_CHECKING:
    import pandas as pd

COPIED = (
    "containers", "data", "deployment", "environments", "monitoring", "pipelines", "src",
    "constraints.txt", "pyproject.toml",
)  # fmt: skip
SECONDS_TO_COLLECT = 30
HOUR = datetime.timedelta(hours=1)


class Plan(Settings):
    """`monitoring/demo/plan.yml`: the question, the time, and what counts in this demo.

    `settings` take the place of those of every environment. Each window begins where the one before
    ends.
    """

    question: str
    metric: str
    trained_until: datetime.date
    windows: tuple[datetime.date, ...]
    settings: dict[str, Any] = Field(default={})


def run(project: Project, *, report: Report) -> Account:
    """Play the demo; what it makes lies in `.mlops/demo/drift`, made anew each time.

    Raises:
        UsageError: the project has no `monitoring/demo/`.
        Refused: a gate refused the first model.
        MlopsError: something failed on the way.
    """
    started = time.perf_counter()
    demo = _Demo(project, report)
    try:
        demo.begin()
        for start, end in demo.windows():
            demo.live_through(start, end)
    finally:
        demo.close()
    demo.account.seconds = time.perf_counter() - started
    return demo.account


class _Demo:
    """The copy of the project, its workspaces, and the rows that have not come yet."""

    def __init__(self, project: Project, report: Report) -> None:
        source = project.root / "monitoring" / "demo"
        if not (source / "plan.yml").is_file():
            raise UsageError(
                f"{source} is not there; `mlops update` brings the demo of the template's newest release"
            )
        self.report = report
        self.folder = project.state / "demo" / "drift"
        self.plan = validate(read_yaml(source / "plan.yml"), Plan)
        self.project = _copy(project, source, self.folder / project.root.name, self.plan)
        self.contract: Contract = load_contract(self.project.contract)
        self.table = _read(source / "table.parquet", self.contract)
        self.account = Account(self.plan.question, self.plan.metric)
        self._open: dict[str, Workspace] = {}

    @property
    def last(self) -> Workspace:
        """Production."""
        return self.workspace(self.project.environments[-1])

    def workspace(self, name: str) -> Workspace:
        """A workspace of the copy."""
        if name not in self._open:
            self._open[name] = open_workspace(self.project, name)
        return self._open[name]

    def windows(self) -> Iterator[tuple[datetime.date, datetime.date]]:
        """Start and end of each window."""
        return zip((self.plan.trained_until, *self.plan.windows), self.plan.windows)

    def begin(self) -> None:
        """Train on the early rows, and take the model to production."""
        self.report(f"== {self.plan.question}")
        self.report(f"== train on what was known until {self.plan.trained_until}, and release")
        with _time(self.plan.trained_until):
            self._push_training(self.plan.trained_until)
            first = self.workspace(self.project.environments[0])
            trained = training.train(self.project, first, report=_quiet)
            if trained.version is None:
                raise Refused("the gate refused the model: " + "; ".join(trained.decision.refusals))
            self._release()

    def live_through(self, start: datetime.date, end: datetime.date) -> None:
        """Ask the model what was asked in a window, let labels come, monitor, and retrain if need be."""
        rows = self._between(start, end)
        self.report(f"== {start} to {end}: {len(rows)} rows")
        with _time(end, earlier=HOUR):
            self._ask(rows)
        with _time(end):
            self._push(rows, GROUND_TRUTH, self.last, f"{end}.parquet", _labels(self.contract))
            found = monitor(self.project, self.last, ask=False, report=_quiet)
            for decision in found.results:
                self.last.keep(decision)
            self._note(end, rows, found)
            if found.retrain:
                self._retrain(end)

    def close(self) -> None:
        """End the servers."""
        for workspace in self._open.values():
            workspace.close()

    def _retrain(self, end: datetime.date) -> None:
        self._push_training(end)
        name = self.last.environment.name
        done = retraining.retrain(self.project, self.workspace, name, report=_quiet)
        if done.outcome is None or not done.outcome.version:
            refused = "; ".join(done.training.decision.refusals) if done.training else ""
            line = f"{end}: no new model: {refused or '; '.join(done.decision.refusals)}"
        else:
            retraining.release_through(
                self.project, self.workspace, done.outcome, name,
                report=_quiet, decided=lambda _: None,
            )  # fmt: skip
            days = self.last.environment.settings.retraining.window_days
            rows = f"the rows of the last {days:g} days" if days else "all rows"
            line = f"{end}: retrained on {rows} as {done.outcome.version}, and released to {name}"
        self.account.retrained.append(line)
        self.report(line)

    def _note(self, end: datetime.date, rows: pd.DataFrame, found: Monitoring) -> None:
        if found.result is None or found.version is None:
            raise MlopsError("production has no version in use, or no monitor")
        signals = {signal.type: signal for signal in found.result.signals}
        drift, performance = signals["data_drift"], signals["model_performance"]
        metrics = [m for f in performance.features for m in f.metrics]
        window = Window(
            end, len(rows), found.version.origin,
            tuple(feature.name for feature in drift.breached),
            next((m.value for m in metrics if m.name == self.plan.metric), None),
            tuple(alarm.key.rpartition("/")[2] for alarm in found.alarms),
        )  # fmt: skip
        self.account.windows.append(window)
        page = monitor_page(found.result, self.last.decisions(), alarms=found.alarms)
        self.account.page = self.folder / "report.html"
        write_text(self.account.page, page)
        if found.retrain and self.account.alarm_page is None:
            self.account.alarm_page = self.folder / "alarm.html"
            write_text(self.account.alarm_page, page)

    def _ask(self, rows: pd.DataFrame) -> None:
        """Have production answer rows, and wait until they are collected."""
        workspace = self.last
        if not workspace.environment.serves("online"):
            source = self._written(rows.drop(columns=[self.contract.target]), "asked.parquet")
            score_table(workspace, source, self.folder / "scores.parquet", None, report=_quiet)
            return
        features = rows.drop(columns=[self.contract.target])
        asked = json.loads(features.to_json(orient="records", date_format="iso"))
        answer = workspace.invoke(request_body(asked))
        if answer.status != 200:
            raise MlopsError(f"the endpoint answered {answer.status}: {answer.body[:300]}")
        endpoint, hour = workspace.environment.endpoint("online"), events.hour_of(clock.now())
        for collection in (events.INPUTS, events.OUTPUTS):
            folder = events.folder_of(endpoint, answer.deployment, collection)
            _wait_for(workspace, Location(events.DATASTORE, f"{folder}/{hour}", "uri_folder"))

    def _release(self) -> None:
        names = self.project.environments
        for source, target in zip([None, *names], names):
            before = self.workspace(source) if source else None
            deliver(self.project, before, self.workspace(target), report=_quiet)

    def _push_training(self, until: datetime.date) -> None:
        first = self.workspace(self.project.environments[0])
        self._push(self._between(None, until), TRAINING, first, "training.parquet", None)

    def _push(
        self,
        rows: pd.DataFrame,
        asset: str,
        workspace: Workspace,
        name: str,
        columns: list[str] | None,
    ) -> None:
        file = self._written(rows[columns] if columns else rows, name)
        data.push(self.project, workspace, file, asset, report=_quiet)

    def _written(self, rows: pd.DataFrame, name: str) -> Path:
        file = self.folder / "tables" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(file, index=False)
        return file

    def _between(self, start: datetime.date | None, end: datetime.date) -> pd.DataFrame:
        times = self.table[str(self.contract.timestamp)].dt.date
        inside = times < end
        return self.table[inside & (times >= start) if start else inside]


def _copy(project: Project, source: Path, target: Path, plan: Plan) -> Project:
    """The project with the demo's data and settings, in a new folder."""
    shutil.rmtree(target.parent, ignore_errors=True)
    target.mkdir(parents=True)
    for name in COPIED:
        path = project.root / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "pulled")
            shutil.copytree(path, target / name, ignore=ignored)
        elif path.is_file():
            shutil.copy2(path, target / name)
    shutil.copy2(source / "contract.yml", target / "data" / "contract.yml")
    shutil.copy2(source / "monitor.yml", target / "monitoring" / "monitor.yml")
    shutil.copy2(source / "sources.yml", target / "data" / "sources.yml")
    copy = find_project(target)
    for name in copy.environments:
        file = copy.environment_file(name)
        settings = yaml.safe_load(file.read_text(encoding="utf-8")) | plan.settings
        write_text(file, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    return copy


def _read(path: Path, contract: Contract) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path).sort_values(str(contract.timestamp), kind="stable")


def _labels(contract: Contract) -> list[str]:
    return list(contract.labels)


def _wait_for(workspace: Workspace, folder: Location) -> None:
    """Wait until something is collected in an hour: a thread of the scoring script sends it."""
    deadline = time.monotonic() + SECONDS_TO_COLLECT
    while not workspace.data().names(folder):
        if time.monotonic() > deadline:
            raise MlopsError(f"nothing was collected in {folder} within {SECONDS_TO_COLLECT} s")
        time.sleep(0.1)


@contextmanager
def _time(day: datetime.date, earlier: datetime.timedelta = datetime.timedelta()) -> Iterator[None]:
    """Let it be midnight of a day in UTC, or somewhat before."""
    midnight = datetime.datetime.combine(day, datetime.time(), datetime.timezone.utc)
    before = os.environ.get(clock.VARIABLE)
    os.environ[clock.VARIABLE] = (midnight - earlier).isoformat()
    try:
        yield
    finally:
        if before is None:
            del os.environ[clock.VARIABLE]
        else:
            os.environ[clock.VARIABLE] = before


def _quiet(line: str) -> None:
    """Progress that would hide the story."""
