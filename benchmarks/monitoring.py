"""What the monitor costs: rows that were collected, and side by side with Evidently.

    python benchmarks/monitoring.py [ROUNDS [PYTHON_WITH_EVIDENTLY]]

First, data drift and data quality of 1 to 10 million rows of 20 features, against 100,000 held-out
rows, as `mlops monitor` computes them from a local workspace: from lines of JSON in a folder per
hour, one row in an event, or as many as the collector puts into one. Then, data drift between two
Parquet files of a million rows each, by us and by Evidently, which gets an environment of its own
unless one is given. Evidently's preset takes one metric for numbers: it runs once with each of ours.
Every run is a process of its own; its imports are not counted in the time, but in the memory.

Goals: at most 1 GB; a cost per row that does not grow; at least ten times as fast as Evidently, with
the same verdicts.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import (
    SCRIPTS,
    Run,
    generated_project,
    interleaved,
    machine,
    median,
    progress,
    ratio,
    table,
    timed,
    variables,
)

SIDES = Path(__file__).with_name("monitoring_sides.py")
EVIDENTLY = ("evidently==0.7.23", "pandas<3", "pyarrow")
SIZES = (1_000_000, 2_500_000, 5_000_000, 10_000_000)
EVENTS = {"one": "one row", "many": "2500 rows"}
METHODS = {
    "jensenshannon": "jensen_shannon_distance",
    "wasserstein": "normalized_wasserstein_distance",
}


def side(python: Path | str, project: Path, *arguments: object) -> Callable[[], Run]:
    """A measured process."""
    command = [str(python), str(SIDES), *map(str, arguments)]
    return lambda: timed(command, environment=variables(project))


def environment_with_evidently(folder: Path) -> Path:
    """Its Python, in a new virtual environment."""
    progress("installing Evidently ...")
    timed([str(SCRIPTS / "uv"), "venv", "--python", sys.executable, str(folder)])
    python = folder / "bin" / "python"
    timed([str(SCRIPTS / "uv"), "pip", "install", "--python", str(python), *EVIDENTLY])
    return python


def said(runs: Sequence[Run], key: str) -> list[Any]:
    """What each run says of itself."""
    return [json.loads(run.output)[key] for run in runs]


def collected_rows(project: Path, folder: Path, rounds: int) -> None:
    """The table of what was collected."""
    contenders = {
        (name, count): side(
            sys.executable, project, "collected", project, folder, f"{name}-{count}"
        )
        for name in EVENTS
        for count in SIZES
    }
    runs = interleaved(contenders, rounds)
    lines = []
    for name, text in EVENTS.items():
        first = [second / SIZES[0] for second in said(runs[name, SIZES[0]], "cpu")]
        for count in SIZES:
            found = runs[name, count]
            if {each["rows"] for each in said(found, "found")} != {count}:
                sys.exit(f"not all of {count} rows were read")
            cpu = said(found, "cpu")
            lines.append(
                [
                    f"{count / 1e6:g} million, {text} in an event",
                    median(said(found, "seconds"), 1),
                    median(cpu, 1),
                    ratio([second / count for second in cpu], first),
                    f"{max(said(found, 'peak')):.0f}",
                ]
            )
    head = ["s", "CPU s", "CPU per row / of 1 million", "peak MB (goal 1000)"]
    table(["collected rows of 20 features", *head], lines)
    print()


def verdicts(ours: dict[str, Any], theirs: dict[str, dict[str, Any]]) -> None:
    """Compare the metrics of each feature, and whether they are beyond the threshold."""
    same, different, apart = 0, [], 0.0
    for method, found in theirs.items():
        for name, (value, beyond) in found.items():
            # Categories have one metric; they come with both methods and count once.
            if len(ours[name]) == 1 and method != "jensenshannon":
                continue
            metric = METHODS["jensenshannon" if len(ours[name]) == 1 else method]
            mine, breached = ours[name][metric]
            apart = max(apart, abs(mine - value))
            same += breached == beyond
            if breached != beyond:
                different.append(f"{metric} of {name}: {mine:.3f} here, {value:.3f} there")
    print(f"{same} of {same + len(different)} verdicts are the same. ", end="")
    print(f"The values differ by at most {apart:.3f}; the threshold is 0.2.")
    print("\n".join(different))


def side_by_side(project: Path, folder: Path, python: Path, rounds: int) -> None:
    """The table with Evidently."""
    contenders = {"ours": side(sys.executable, project, "parquet", project, folder)}
    for method in METHODS:
        contenders[method] = side(python, project, "evidently", folder, method)
    runs = interleaved(contenders, rounds)
    names = {
        "ours": "ours: both metrics, and a test",
        "jensenshannon": "Evidently, Jensen-Shannon",
        "wasserstein": "Evidently, Wasserstein",
    }
    lines = [
        [
            text,
            median(said(runs[name], "seconds"), 1),
            ratio(said(runs[name], "seconds"), said(runs["ours"], "seconds")),
            median(said(runs[name], "cpu"), 1),
            ratio(said(runs[name], "cpu"), said(runs["ours"], "cpu")),
            f"{max(said(runs[name], 'peak')):.0f}",
        ]
        for name, text in names.items()
    ]
    head = ["s", "/ ours (goal 10)", "CPU s", "CPU / ours (goal 10)", "peak MB"]
    table(["1 million rows of 20 features", *head], lines)
    print()
    theirs = {method: said(runs[method], "found")[-1] for method in METHODS}
    verdicts(said(runs["ours"], "found")[-1], theirs)


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with generated_project() as project, tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        python = (
            Path(sys.argv[2])
            if len(sys.argv) > 2
            else environment_with_evidently(folder / "evidently")
        )
        endpoints = [f"{events}-{count}" for events in EVENTS for count in SIZES]
        side(sys.executable, project, "make", folder, *endpoints)()
        collected_rows(project, folder, rounds)
        side_by_side(project, folder, python, rounds)
    machine()


if __name__ == "__main__":
    main()
