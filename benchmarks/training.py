"""What `mlops train` adds to its four components' commands, run by hand one after another.

    python benchmarks/training.py [ROUNDS]

Goal: `mlops train --no-cache` takes at most 1.3 times as long. The commands by hand get their
MLflow run ready-made, and nobody hashes, logs or looks for findings beside them.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import yaml
from common import (
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

GOAL = 1.3
BY_HAND = "four commands by hand"
STEPS = ("prepare", "train", "evaluate", "register")
PLACEHOLDER = re.compile(r"\$\{\{(?:inputs|outputs)\.(\w+)\}\}")
MAKE_RUN = """
from mlflow import MlflowClient
import sys
client = MlflowClient()
found = client.get_experiment_by_name("by-hand")
experiment = found.experiment_id if found else client.create_experiment("by-hand", sys.argv[1])
print(client.create_run(experiment).info.run_id)
"""


class ByHand:
    """The four commands as their components write them, with a tracking store of their own."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.folder = project.parent / "by-hand"
        self.folder.mkdir()
        store = f"sqlite:///{(self.folder / 'mlflow.db').as_posix()}"
        self.environment = variables(project, MLFLOW_TRACKING_URI=store)
        pipeline = yaml.safe_load((project / "pipelines/training.yml").read_text("utf-8"))
        self.values = {
            name: str((project / "pipelines" / spec["path"]).resolve())
            if isinstance(spec, dict) else str(spec)
            for name, spec in pipeline["inputs"].items()
        }  # fmt: skip
        for output in ("prepared", "model", "evaluation", "decision"):
            self.values[output] = str(self.folder / "outputs" / output)
        self.seconds: dict[str, list[float]] = {step: [] for step in STEPS}

    def run(self) -> Run:
        """The four commands as one; making the run and the folders is not counted."""
        shutil.rmtree(self.folder / "outputs", ignore_errors=True)
        for output in ("prepared", "model", "evaluation", "decision"):
            Path(self.values[output]).mkdir(parents=True)
        artifacts = (self.folder / "artifacts").as_uri()
        made = timed([sys.executable, "-c", MAKE_RUN, artifacts], environment=self.environment)
        environment = {**self.environment, "MLFLOW_RUN_ID": made.output.split()[-1]}
        whole = Run(0.0, 0.0, "")
        for step in STEPS:
            code = self.project / "src"
            run = timed(self.command(step), folder=code, environment=environment)
            self.seconds[step].append(run.seconds)
            whole = Run(whole.seconds + run.seconds, whole.cpu + run.cpu, "")
        return whole

    def command(self, step: str) -> list[str]:
        """A component's command with its inputs and outputs."""
        file = self.project / "pipelines" / "components" / f"{step}.yml"
        text = yaml.safe_load(file.read_text("utf-8"))["command"]
        return shlex.split(PLACEHOLDER.sub(lambda match: shlex.quote(self.values[match[1]]), text))


def lines(runs: dict[str, list[Run]]) -> list[list[str]]:
    """For each contender: medians, and its ratios to the commands by hand."""
    found = []
    wall = {name: [run.seconds for run in of] for name, of in runs.items()}
    cpu = {name: [run.cpu for run in of] for name, of in runs.items()}
    for name in runs:
        goal = str(GOAL) if "--no-cache" in name else ""
        line = [name]
        for seconds in (wall, cpu):
            line += [median(seconds[name]), ratio(seconds[name], seconds[BY_HAND]), goal]
        found.append(line[:-1])
    return found


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with generated_project() as project:
        by_hand = ByHand(project)
        environment = variables(project)
        train = [sys.executable, "-m", "mlops", "train"]

        def mlops_train(*options: str) -> Run:
            return timed([*train, *options], folder=project, environment=environment)

        mlops_train()  # Fills the cache, so that the reusing contender reuses from the start.
        runs = interleaved(
            {
                BY_HAND: by_hand.run,
                "mlops train --no-cache": lambda: mlops_train("--no-cache"),
                "mlops train, all reused but register": mlops_train,
            },
            rounds,
        )
    table(["what", "s", "/ by hand", "goal", "CPU s", "CPU / by hand"], lines(runs))
    steps = ", ".join(f"{name} {median(values[1:])}" for name, values in by_hand.seconds.items())
    print(f"by hand, s: {steps}")
    machine()


if __name__ == "__main__":
    main()
