"""What is measured by `monitoring.py`, each in a process of its own: data, our monitor, Evidently.

    python benchmarks/monitoring_sides.py make FOLDER ENDPOINT...
    python benchmarks/monitoring_sides.py collected PROJECT FOLDER ENDPOINT
    python benchmarks/monitoring_sides.py parquet PROJECT FOLDER
    python benchmarks/monitoring_sides.py evidently FOLDER NUMERICAL_METHOD

All but the first print JSON: seconds and CPU seconds without the imports, the peak of memory in MB
with them, and what was found. NumPy and what reads Parquet are imported by all.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import resource
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.dont_write_bytecode = True

NUMERICAL = 15  # of the features; the others are categories
ROWS_IN_FILE = 100_000
MILLION = 1_000_000
EVENTS = {"one": 1, "many": 2500}
"""Rows in an event; the collector writes at most so many of 20 columns. An endpoint is called after one
of these, and after all its rows: `many-1000000`."""
DEPLOYMENT = "version-1"
START = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
THRESHOLD = 0.2  # of every metric of drift in monitoring/monitor.yml
SIGNALS = ("data_drift", "data_quality")


def rows(draw: np.random.Generator, count: int, *, changed: bool) -> pd.DataFrame:
    """Rows of 20 features; some of them changed."""
    shift, scale = (1.0, 2.0) if changed else (0.0, 1.0)
    table = {
        "moved_a_lot": draw.normal(10 + shift, 1, count),
        "moved_a_little": draw.normal(0.35 * shift, 1, count),
        "hardly_moved": draw.normal(0.05 * shift, 1, count),
        "spread_out": draw.normal(0, scale, count),
        "grew": draw.lognormal(0.8 * shift, 1, count),
        "counted": draw.poisson(4, count) * 1.0,
        "holes": np.where(draw.random(count) < 0.02, np.nan, draw.normal(size=count)),
    }
    for number in range(len(table), NUMERICAL):
        table[f"number_{number}"] = draw.normal(number, number + 1, count)
    few, some, many = ([f"value {i}" for i in range(size)] for size in (4, 12, 200))
    table["share_moved"] = draw.choice(few, count, p=[0.55, 0.15, 0.15, 0.15] if changed else None)
    table["new_value"] = draw.choice([*few, "new"] if changed else few, count)
    table["same"], table["dozen"], table["hundreds"] = (
        draw.choice(names, count) for names in (few, some, many)
    )
    return pd.DataFrame(table)


def columns() -> dict[str, Any]:
    """The features as the contract describes them."""
    names = rows(np.random.default_rng(0), 1, changed=False).dtypes.items()
    found = {n: {"type": "number" if kind.kind == "f" else "category"} for n, kind in names}
    found["holes"]["nullable"] = True
    return found


def make(folder: Path, endpoints: Sequence[str]) -> None:
    """Two tables, and the second of them as it is collected: a file, and links to it for each hour.

    Ids are known for an hour only, so the same file counts in each.
    """
    from mlops import events

    draw = np.random.default_rng(0)
    for name, changed in (("reference", False), ("current", True)):
        rows(draw, MILLION, changed=changed).to_parquet(folder / f"{name}.parquet", index=False)
    files = folder / "files"
    for name in ("model", "held_out"):
        (files / name).mkdir(parents=True)
    rows(draw, ROWS_IN_FILE, changed=False).to_parquet(files / "held_out" / "held_out.parquet")
    contract = {
        "title": "Benchmark", "problem_type": "regression", "target": "label",
        "columns": {**columns(), "label": {"type": "number"}},
    }  # fmt: skip
    (files / "model" / "contract.yml").write_text(json.dumps(contract), encoding="utf-8")
    table = pd.read_parquet(folder / "current.parquet")[:ROWS_IN_FILE]
    for name, size in EVENTS.items():
        file = folder / f"{name}.jsonl"
        with file.open("w", encoding="utf-8") as stream:
            for first in range(0, len(table), size):
                text = table[first : first + size].to_json(orient="records", double_precision=12)
                stream.write(
                    events.record(
                        events.INPUTS, text, time=START, source=f"benchmark/{DEPLOYMENT}",
                        correlation=str(uuid.uuid4()), agent="benchmark",
                    )
                )  # fmt: skip
    for endpoint in endpoints:
        name, count = endpoint.split("-")
        place = events.folder_of(endpoint, DEPLOYMENT, events.INPUTS)
        for number in range(int(count) // ROWS_IN_FILE):
            hour = events.hour_of(START + number * HOUR)
            target = folder / "data" / events.DATASTORE / place / hour / "part.jsonl"
            target.parent.mkdir(parents=True)
            os.link(folder / f"{name}.jsonl", target)


class Served:
    """As much of a workspace as the monitor asks."""

    def __init__(self, environment: Any, folder: Path) -> None:
        self.environment = environment
        self._folder = folder

    def data(self) -> Any:
        """The datastores."""
        from mlops.workspaces.local.data import LocalDataStore

        return LocalDataStore(self._folder / "data")

    def files(self, version: Any) -> Path:
        """The files of the version."""
        return self._folder / "files"


def collected(project: Path, folder: Path, endpoint: str) -> Callable[[], Any]:
    """Data drift and data quality of what was collected, as `mlops monitor` computes them."""
    from dataclasses import replace

    from mlops.monitoring.compute import Computation
    from mlops.monitoring.definition import load_monitor
    from mlops.project import find_project
    from mlops.workspaces import ModelVersion

    found = find_project(project)
    environment = found.environment("prod")
    monitor = load_monitor(found, environment)
    monitor = replace(monitor, signals={name: monitor.signals[name] for name in SIGNALS})
    version = ModelVersion("benchmark", 1, "prod", "run", START.isoformat(), {})

    def run() -> Any:
        computation = Computation(
            found, Served(environment, folder), version, monitor, (endpoint, DEPLOYMENT),
            START + 7 * 24 * HOUR, lambda line: None,
        )  # fmt: skip
        signals = list(computation.signals())
        if computation.problems():
            sys.exit("\n".join(computation.problems()))
        return {
            "rows": signals[0].production_rows,
            "breached": [len(signal.breached) for signal in signals],
        }

    return run


def parquet(project: Path, folder: Path) -> Callable[[], Any]:
    """Data drift between two tables: each metric of each feature, and whether it is beyond."""
    from pyarrow.parquet import ParquetFile

    from mlops.contract import Column
    from mlops.monitoring.columns import TableProfile
    from mlops.monitoring.definition import load_monitor
    from mlops.monitoring.drift import drifted
    from mlops.monitoring.windows import Span
    from mlops.project import find_project

    found = find_project(project)
    environment = found.environment("prod")
    signal = load_monitor(found, environment).signals["data_drift"]
    described = {name: Column(**given) for name, given in columns().items()}

    def profile(file: Path) -> Any:
        table = TableProfile(described)
        for batch in ParquetFile(file).iter_batches(batch_size=50_000):
            table.add({name: batch.column(name) for name in described}, batch.num_rows)
        return table.close()

    def run() -> Any:
        before, now = (profile(folder / f"{name}.parquet") for name in ("reference", "current"))
        span = Span(START, START + HOUR)
        settings = environment.settings.monitoring
        features = drifted(described, before, [(span, now)], signal, settings)
        return {f.name: {m.name: (m.value, m.breached) for m in f.metrics} for f in features}

    return run


def evidently(folder: Path, method: str) -> Callable[[], Any]:
    """The same by Evidently's preset, without a page of HTML."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    kinds = {name: given["type"] for name, given in columns().items()}
    definition = DataDefinition(
        numerical_columns=[name for name, kind in kinds.items() if kind == "number"],
        categorical_columns=[name for name, kind in kinds.items() if kind == "category"],
    )
    # Its Jensen-Shannon distance has natural logarithms.
    base = float(np.sqrt(np.log(2)))
    factors = {"jensenshannon": base, "wasserstein": 1.0}
    preset = DataDriftPreset(
        num_method=method, num_threshold=THRESHOLD * factors[method],
        cat_method="jensenshannon", cat_threshold=THRESHOLD * base,
    )  # fmt: skip

    def run() -> Any:
        before, now = (
            Dataset.from_pandas(pd.read_parquet(folder / f"{name}.parquet"), definition)
            for name in ("reference", "current")
        )
        found = {}
        for metric in Report([preset]).run(now, before).dict()["metrics"]:
            config = metric["config"]
            if "column" in config:
                value = float(metric["value"]) / factors[config["method"]]
                found[config["column"]] = (value, float(metric["value"]) >= config["threshold"])
        return found

    return run


def import_what_is_imported_late() -> None:
    """What the engine imports where it needs it; Evidently imports all at its start."""
    for name in ("pyarrow.compute", "pyarrow.json", "scipy.spatial.distance", "scipy.stats"):
        importlib.import_module(name)


def main() -> None:
    """Run one of them, and print what it took."""
    what, *given = sys.argv[1:]
    if what == "make":
        make(Path(given[0]), given[1:])
        return
    sides = {"collected": collected, "parquet": parquet, "evidently": evidently}
    paths = [Path(part) if Path(part).exists() else part for part in given]
    run = sides[what](*paths)
    import_what_is_imported_late()
    started, cpu = time.perf_counter(), time.process_time()
    found = run()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    unit = 1 if sys.platform == "darwin" else 1000
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "found": found}))


if __name__ == "__main__":
    main()
