"""A version in production whose requests were collected: what the monitor's tests look at."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from mlops import events
from mlops.contract import Contract, load_contract
from mlops.decisions import now
from mlops.monitoring import compute
from mlops.monitoring.act import compute as compute_all
from mlops.monitoring.definition import load_monitor
from mlops.monitoring.results import FeatureResult, MonitorResult, SignalResult
from mlops.project import Project, find_project
from mlops.workspaces import ModelVersion, Requests
from mlops.workspaces.local.data import LocalDataStore
from tests.conftest import generated

AT = datetime.datetime(2026, 3, 31, 6, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
CONTRACT = {
    "title": "Test",
    "problem_type": "classification",
    "id": "row_id",
    "timestamp": "asked",
    "target": "label",
    "columns": {
        "row_id": {"type": "integer"},
        "asked": {"type": "timestamp"},
        "size": {"type": "number", "unit": "cm"},
        "count": {"type": "integer"},
        "colour": {"type": "category", "values": ["red", "green", "blue"]},
        "member": {"type": "boolean"},
        "income": {"type": "number", "nullable": True},
        "seen": {"type": "timestamp"},
        "label": {"type": "category", "values": ["no", "yes"]},
    },
}
DATASTORES = {"production": "ground_truth"}


def rows(number: int, /, seed: int, **columns: Any) -> pd.DataFrame:
    """Rows of the contract, from one and the same distribution; the label goes by the size."""
    draw = np.random.default_rng(seed)
    size = draw.normal(10, 2, number)
    table = pd.DataFrame(
        {
            "row_id": np.arange(number) + 1_000_000 * seed,
            "asked": pd.Timestamp("2026-03-30T00:00:00"),
            "size": size,
            "count": draw.poisson(4, number),
            "colour": draw.choice(["red", "green", "blue"], number, p=[0.5, 0.3, 0.2]),
            "member": draw.random(number) < 0.4,
            "income": np.where(draw.random(number) < 0.1, np.nan, draw.lognormal(3, 0.5, number)),
            "seen": pd.Timestamp("2026-03-01T00:00:00"),
            "label": np.where(size + draw.normal(0, 0.5, number) > 10, "yes", "no"),
        }
    )
    return table.assign(**columns)


def answers_to(table: pd.DataFrame) -> pd.DataFrame:
    """What the model says: by the size."""
    probability = 1 / (
        1 + np.exp(-3 * (pd.to_numeric(table["size"], errors="coerce").fillna(10) - 10))
    )
    return pd.DataFrame(
        {
            "prediction": np.where(probability > 0.5, "yes", "no"),
            "probability_no": 1 - probability,
            "probability_yes": probability,
        }
    )


class Production:
    """A local workspace with a version in use, and what was collected of it."""

    def __init__(self, folder: Path, *, contract: dict[str, Any] | None = None) -> None:
        self.project: Project = find_project(generated())
        self.environment = self.project.environment("prod")
        self.folder = folder
        self.store = LocalDataStore(folder / "data")
        self.version = ModelVersion("churn-model", 3, "prod", "run", now(), {"origin": "dev/7"})
        self.log: list[Requests] = []
        self.lines: list[str] = []
        self.deployment = "version-3"
        files = folder / "files"
        for name in ("model", "held_out", "evaluation"):
            (files / name).mkdir(parents=True)
        text = yaml.safe_dump(contract or CONTRACT, sort_keys=False)
        (files / "model" / "contract.yml").write_text(text, encoding="utf-8")
        self.contract: Contract = load_contract(files / "model" / "contract.yml")
        self.refer_to(rows(400, seed=1))

    def refer_to(self, table: pd.DataFrame) -> None:
        """Let these be the rows that were held out."""
        files = self.folder / "files"
        table.to_parquet(files / "held_out" / "held_out.parquet")
        answers_to(table).to_parquet(files / "evaluation" / "predictions.parquet")

    # As much of a workspace as the monitor asks.

    def data(self) -> LocalDataStore:
        return self.store

    def files(self, version: ModelVersion) -> Path:
        return self.folder / "files"

    def requests(self, start: datetime.datetime, end: datetime.datetime) -> Requests:
        return self.log.pop(0) if self.log else Requests()

    # What happens in production.

    def settings(self, **monitoring: Any) -> None:
        """Change the environment's settings."""
        changed = self.environment.settings.monitoring.model_copy(update=monitoring)
        settings = self.environment.settings.model_copy(update={"monitoring": changed})
        self.environment = type(self.environment)("prod", settings, self.environment.document)

    def serve(self, table: pd.DataFrame, *, ago: datetime.timedelta = HOUR, **event: Any) -> None:
        """Collect requests with these rows, and the answers to them."""
        inputs = table.drop(columns=["label"], errors="ignore")
        outputs = answers_to(table)
        if "row_id" in table:
            outputs.insert(0, "row_id", table["row_id"])
        correlation = str(uuid.uuid4())
        for collection, frame in ((events.INPUTS, inputs), (events.OUTPUTS, outputs)):
            text = frame.to_json(orient="records", date_format="iso")
            self.collect(collection, json.loads(text), ago=ago, correlationid=correlation, **event)

    def collect(
        self, collection: str, data: Sequence[Any], *, ago: datetime.timedelta = HOUR, **event: Any
    ) -> Path:
        """Write an event; the path of its file."""
        time = AT - ago
        line = {
            "specversion": "1.0", "id": str(uuid.uuid4()), "time": time.isoformat(), "data": data,
        } | event  # fmt: skip
        file = self.file(collection, time)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        return file

    def file(self, collection: str, time: datetime.datetime) -> Path:
        """The file of an hour."""
        endpoint = self.environment.endpoint("online")
        folder = events.folder_of(endpoint, self.deployment, collection)
        place = self.folder / "data" / events.DATASTORE / folder / events.hour_of(time)
        place.mkdir(parents=True, exist_ok=True)
        return place / "part.jsonl"

    def label(self, table: pd.DataFrame, name: str = "labels.parquet") -> None:
        """Let labels come."""
        folder = self.folder / "data" / "production" / "ground_truth"
        folder.mkdir(parents=True, exist_ok=True)
        if name.endswith(".csv"):
            table.to_csv(folder / name, index=False)
        else:
            table.to_parquet(folder / name)

    def monitor(self, monkeypatch: Any) -> MonitorResult:
        """What the monitor of the project says now."""
        definition = load_monitor(self.project, self.environment)
        assert definition
        predict = property(lambda _: lambda table: answers_to(table))
        monkeypatch.setattr(compute.Computation, "_predict", predict)
        return compute_all(
            self.project, self, self.version, definition, AT, self.lines.append,  # type: ignore[arg-type]
        )  # fmt: skip


def signal_of(result: MonitorResult, name: str) -> SignalResult:
    """A signal by its name."""
    return next(signal for signal in result.signals if signal.name == name)


def feature_of(result: MonitorResult, signal: str, name: str) -> FeatureResult:
    """What a signal says of a column."""
    return next(each for each in signal_of(result, signal).features if each.name == name)


def values_of(feature: FeatureResult) -> dict[str, float | None]:
    """The metrics of a column."""
    return {metric.name: metric.value for metric in feature.metrics}
