"""How often the monitor raises a false alarm, and how often it finds what is there.

    python benchmarks/monitoring_errors.py [REPETITIONS]

Each repetition draws references and windows anew from one and the same distribution, and asks the
project's own signals with the thresholds of its monitoring/monitor.yml and the settings of its
prod environment. An alarm is a signal that is breached, of whatever feature. `thresholds alone` is what
a monitor says that compares each metric with its threshold and no more, as Azure ML's does; both
are read off the same results.

Attributions are drawn in each fourth repetition.

Goal: without a change, at most about `significance` (1 %) of the windows raise an alarm.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from common import generated_project, machine, progress, table
from monitoring_changes import (
    ANSWERS,
    CHANGES,
    CONFUSIONS,
    ERRORS,
    T5_MAE,
    T5_RMSE,
    Rng,
    answers,
    changed,
    features,
)

sys.dont_write_bytecode = True

REPETITIONS = 200
REFERENCES = (114, 1000, 10_000)  # rows; the first is a held-out tenth of a small table
WINDOWS = (50, 200, 1000, 5000)
SEEDS_IN_TASK = 5
REVERSED = "the order of the features, reversed"
Tally = Counter[tuple[str, ...]]


class Monitor:
    """The signals of a project, asked without a workspace."""

    def __init__(self, project: Path) -> None:
        from mlops.contract import Contract
        from mlops.monitoring.definition import load_monitor
        from mlops.monitoring.performance import Labels
        from mlops.monitoring.windows import Span
        from mlops.project import find_project
        from mlops.workspaces import Location
        from mlops.workspaces.local.data import LocalDataStore

        week = [datetime.datetime(2026, 1, day, tzinfo=datetime.timezone.utc) for day in (1, 8)]
        self.span = Span(*week)
        found = find_project(project)
        environment = found.environment("prod")
        self.settings = environment.settings.monitoring
        self.signals = load_monitor(found, environment).signals
        performance = self.signals["model_performance"]
        classes = {"type": "category", "values": ["no", "yes"]}
        classified = bool(performance.thresholds("classification"))
        self.contract = Contract(
            title="Benchmark", id="id", target="label",
            problem_type="classification" if classified else "regression",
            columns={
                "id": {"type": "integer"},
                "label": classes if classified else {"type": "number"},
                **{name: column_of(name) for name in features(np.random.default_rng(0), 1)},
            },
        )  # fmt: skip
        nothing = Location("production", "nothing", "uri_folder")
        self.labels = Labels(self.contract).read(LocalDataStore(project), nothing)

    def ask(self, signal: str, reference: Any, window: Any, columns: dict[str, Any]) -> Any:
        """What a signal says of a window: a result for each feature."""
        from mlops.monitoring.drift import drifted
        from mlops.monitoring.quality import quality

        say = quality if signal == "data_quality" else drifted
        return say(columns, reference, [(self.span, window)], self.signals[signal], self.settings)


def column_of(name: str) -> dict[str, Any]:
    """What the contract says of a feature."""
    kind = "category" if name.startswith("category") else "number"
    return {"type": kind, "nullable": name.startswith("holes")}


def profile(given: dict[str, pa.Array], columns: dict[str, Any]) -> Any:
    """The profile of a table."""
    from mlops.monitoring.columns import TableProfile

    found = TableProfile(columns)
    found.add(given, len(next(iter(given.values()))))
    return found.close()


def count(tally: Tally, key: tuple[str, ...], found: Iterable[Any]) -> None:
    """Count a window, whether it is breached, and whether it is by its thresholds alone."""
    from mlops.monitoring.definition import is_beyond

    found = list(found)
    tally[(*key, "asked")] += 1
    tally[(*key, "breached")] += any(feature.state == "breached" for feature in found)
    tally[(*key, "alone")] += any(
        None not in (metric.value, metric.threshold)
        and is_beyond(metric.name, metric.value, metric.threshold)
        for feature in found
        for metric in feature.metrics
    )


def drift_and_quality(monitor: Monitor, draw: Rng, tally: Tally) -> None:
    """Windows without a change, and with some, against references of all sizes."""
    from mlops.monitoring.performance import output_columns

    inputs, outputs = monitor.contract.features, output_columns(monitor.contract)
    references = {
        rows: (profile(features(draw, rows), inputs), profile(answers(draw, rows), outputs))
        for rows in REFERENCES
    }
    for rows in WINDOWS:
        same = features(draw, rows)
        window, other = profile(same, inputs), profile(changed(draw, same), inputs)
        said, moved = (profile(answers(draw, rows, shift), outputs) for shift in (0, 1.5))
        for size, (reference, before) in references.items():
            key = (str(size), str(rows))
            for signal in ("data_drift", "data_quality"):
                count(tally, (signal, *key), monitor.ask(signal, reference, window, inputs))
                found = {f.name: f for f in monitor.ask(signal, reference, other, inputs)}
                for change, (where, name) in CHANGES.items():
                    if where == signal:
                        count(tally, (change, *key), [found[name]])
            signal = "prediction_drift"
            count(tally, (signal, *key), monitor.ask(signal, before, said, outputs))
            count(tally, (ANSWERS, *key), monitor.ask(signal, before, moved, outputs))


def live_performance(monitor: Monitor, numbers: Monitor, draw: Rng, tally: Tally) -> None:
    """Labelled answers of models that are at the threshold, or worse."""
    from mlops.monitoring.performance import Tally as Answers

    limits = numbers.signals["model_performance"].thresholds("regression")
    at_limit = min(limits["mae"] / T5_MAE, limits["rmse"] / T5_RMSE)
    for rows in WINDOWS:
        for what, shares in CONFUSIONS.items():
            found = Answers(monitor.contract)
            found.confusion += draw.multinomial(rows, np.ravel(shares)).reshape(2, 2)
            _performance(monitor, what, rows, found, tally)
        for what, factor in ERRORS.items():
            found = Answers(numbers.contract)
            error = factor * at_limit * np.abs(draw.standard_t(5, rows))
            found.errors += [(error**power).sum() for power in (1, 2, 2, 4)]
            _performance(numbers, what, rows, found, tally)


def _performance(monitor: Monitor, what: str, rows: int, answers: Any, tally: Tally) -> None:
    from mlops.monitoring.performance import performance

    answers.answers = answers.labelled = rows
    signal = monitor.signals["model_performance"]
    found = performance(
        monitor.contract, [(monitor.span, answers)], monitor.labels, signal, monitor.settings
    )
    count(tally, (what, "", str(rows)), [found.feature])


def attribution(monitor: Monitor, draw: Rng, tally: Tally) -> None:
    """Attributions of features of which each matters less than the one before."""
    from mlops.monitoring.attribution import ROWS, attribution_drift

    scales = 0.8 ** np.arange(len(monitor.contract.features))
    orders = {
        "feature_attribution_drift": scales,
        REVERSED: scales[::-1],
    }
    for size in (min(rows, ROWS) for rows in REFERENCES[:2]):
        before = draw.exponential(scales, (size, len(scales)))
        for rows in WINDOWS[:3]:
            for what, order in orders.items():
                now = draw.exponential(order, (rows, len(scales)))
                signal = monitor.signals["feature_attribution_drift"]
                found = attribution_drift(monitor.contract, before, now, signal, monitor.settings)
                count(tally, (what, str(size), str(rows)), found[:1])


def repeat(projects: Sequence[Path], seeds: range) -> Tally:
    """Some repetitions."""
    tally: Tally = Counter()
    monitor, numbers = map(Monitor, projects)
    for seed in seeds:
        draw = np.random.default_rng(seed)
        drift_and_quality(monitor, draw, tally)
        live_performance(monitor, numbers, draw, tally)
        if seed % 4 == 0:  # half of the time, otherwise
            attribution(monitor, draw, tally)
    return tally


def lines(tally: Tally, names: Iterable[str], *, both: bool) -> list[list[str]]:
    """A line for each name and reference: the share of windows with an alarm, in per cent."""
    found = []
    for name in names:
        for size in dict.fromkeys(key[1] for key in tally if key[0] == name):
            cells = []
            for rows in map(str, WINDOWS):
                asked = tally[(name, size, rows, "asked")]
                shares = [
                    f"{100 * tally[(name, size, rows, kind)] / asked:{digits}f}" if asked else ""
                    for kind, digits in (("breached", ".1"), ("alone", ".0"))
                ]
                cells.append(" / ".join(shares) if both and asked else shares[0])
            found.append([name, size, *cells])
    return found


def main() -> None:
    """Measure and print."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS
    tally: Tally = Counter()
    with generated_project() as project, generated_project(problem_type="regression") as other:
        sys.path.insert(0, str(project / "src"))
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            tasks = [
                pool.submit(repeat, (project, other), range(first, first + SEEDS_IN_TASK))
                for first in range(0, repetitions, SEEDS_IN_TASK)
            ]
            for number, task in enumerate(tasks):
                progress(f"{number * SEEDS_IN_TASK} of {repetitions}")
                tally += task.result()
    signals = ["data_drift", "data_quality", "prediction_drift", "feature_attribution_drift"]
    floors = [what for what in (*CONFUSIONS, *ERRORS) if "at the" in what]
    others = [
        *CHANGES,
        ANSWERS,
        REVERSED,
        *(what for what in (*CONFUSIONS, *ERRORS) if what not in floors),
    ]
    head = ["reference", *(f"{rows} rows" for rows in WINDOWS)]
    print(f"Windows with an alarm, in per cent of {len(tasks) * SEEDS_IN_TASK}.")
    table(
        ["no change: ours / thresholds alone", *head], lines(tally, [*signals, *floors], both=True)
    )
    print()
    table(["a change: found", *head], lines(tally, others, both=False))
    print()
    machine()


if __name__ == "__main__":
    main()
