"""How long `mlops --help` takes, against Python's own start and against `mlflow --help`.

    python benchmarks/startup.py [ROUNDS]

Goal: `mlops --help` and `mlops check --help` under 0.5 s, installed with compiled bytecode.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from common import (
    SCRIPTS,
    Run,
    generated_project,
    interleaved,
    machine,
    median,
    ratio,
    table,
    timed,
    variables,
)

GOAL = 0.5
# What pip writes into `bin/mlops`; the project is found by PYTHONPATH as by an editable install.
LAUNCHER = "import sys\nfrom mlops.cli import main\nsys.exit(main())\n"


def measure(project: Path, rounds: int) -> dict[str, list[Run]]:
    """The runs of each command."""
    launcher = project.parent / "mlops-launcher.py"
    launcher.write_text(LAUNCHER, encoding="utf-8")
    mlops = [sys.executable, str(launcher)]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "mlops --help": [*mlops, "--help"],
        "mlops check --help": [*mlops, "check", "--help"],
        "mlflow --help": [str(SCRIPTS / "mlflow"), "--help"],
    }
    environment = variables(project)

    def contender(command: list[str]) -> Callable[[], Run]:
        return lambda: timed(command, folder=project, environment=environment)

    return interleaved({name: contender(command) for name, command in commands.items()}, rounds)


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with generated_project() as project:
        runs = measure(project, rounds)
    seconds = {name: [run.seconds for run in found] for name, found in runs.items()}
    python, mlflow = seconds["python -c pass"], seconds["mlflow --help"]
    rows = [
        [
            name, median(values, 3), str(GOAL) if name.startswith("mlops") else "",
            ratio(values, python), ratio(values, mlflow),
        ]
        for name, values in seconds.items()
    ]  # fmt: skip
    table(["command", "median s", "goal s", "/ python -c pass", "/ mlflow --help"], rows)
    machine()


if __name__ == "__main__":
    main()
