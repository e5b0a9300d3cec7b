"""How long each stage of `mlops demo` takes, in a new project with the default answers.

    python benchmarks/loop.py [TIMES]

Goal: 60 s on 2 cores, in a ready environment.
"""

from __future__ import annotations

import json
import statistics
import sys

from common import Run, generated_project, machine, median, progress, ratio, table, timed, variables

GOAL = 60.0


def main() -> None:
    """Measure and print."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    stages: dict[str, list[float]] = {}
    runs: list[Run] = []
    for number in range(times):
        progress(f"mlops demo, {number + 1} of {times}")
        with generated_project() as project:
            demo = [sys.executable, "-m", "mlops", "demo", "--json"]
            run = timed(demo, folder=project, environment=variables(project))
        runs.append(run)
        for stage, taken in json.loads(run.output)["seconds"].items():
            stages.setdefault(stage, []).append(taken)
    whole, cpu = [run.seconds for run in runs], [run.cpu for run in runs]
    total = statistics.median(whole)
    rows = [[n, median(v, 1), f"{statistics.median(v) / total:.0%}"] for n, v in stages.items()]
    rows.append(["mlops demo, from start to end", median(whole, 1), "100%"])
    table(["stage", "median s", "share"], rows)
    print(f"/ goal of {GOAL:.0f} s: {ratio(whole, [GOAL] * times)}")
    print(f"CPU of all its processes: {median(cpu, 1)} s")
    machine()


if __name__ == "__main__":
    main()
