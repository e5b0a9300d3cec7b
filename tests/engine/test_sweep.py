"""A hyperparameter search: what its YAML may say, the trials it makes, and how they are run."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from mlops.documents import InvalidFile, read_yaml
from mlops.errors import MlopsError
from mlops.pipeline_checks import inspect_pipeline, load_pipeline
from mlops.project import find_project
from mlops.step_checks import require_parameters_of_trials
from mlops.sweep import Sweep
from mlops.workspaces.local import search
from mlops.workspaces.local.jobs import StepFailed

from ..conftest import generated
from .builders import edit
from .test_jobs import Work

RANDOM = {"x": {"type": "uniform", "min_value": 0, "max_value": 1}}


def sweep(space: dict[str, Any], total: int = 8, **settings: Any) -> str:
    """The YAML of a sweep step `train`, on one line for each key."""
    step = {
        "type": "sweep", "trial": "./train.yml", "sampling_algorithm": "random",
        "search_space": space, "objective": {"goal": "minimize", "primary_metric": "loss"},
        "limits": {"max_total_trials": total, "max_concurrent_trials": min(2, total)}, **settings,
    }  # fmt: skip
    lines = [f"    {key}: {json.dumps(value)}" for key, value in step.items() if value is not None]
    return "\n".join(["  train:", *lines, ""])


class Runs:
    """Stands for the tracking store: a trial writes its metrics into a file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.started, self.ended = folder, {}, {}  # type: ignore[var-annotated]
        self.best = ""
        folder.mkdir(exist_ok=True)

    def start(self, name: str, parameters: dict[str, Any]) -> str:
        self.started[name] = parameters
        return name

    def metrics(self, run: str) -> dict[str, float]:
        file = self.folder / run
        return json.loads(file.read_text()) if file.is_file() else {}  # type: ignore[no-any-return]

    def end(self, run: str, status: str, metrics: dict[str, float]) -> None:
        self.ended[run] = (status, metrics)

    def choose(self, run: str) -> None:
        self.best = run


class Trials(Work):
    """A pipeline of a search and a step that reads what its best trial wrote."""

    def __init__(self, folder: Path, command: str = "") -> None:
        super().__init__(folder)
        self.trial(
            command
            or "echo '{\"loss\": '${{inputs.x}}'}' > ../runs/$MLFLOW_RUN_ID\n"
            "echo ${{inputs.x}} > ${{outputs.out}}/x"
        )
        self.component("use", "cat ${{inputs.best}}/x", "inputs: {best: {type: uri_folder}}")

    def trial(self, command: str) -> None:
        self.component(
            "train", command,
            "inputs: {x: {type: number, min: 0, max: 9}, n: {type: integer, default: 1},"
            " kind: {type: string, default: a}, data: {type: uri_file, optional: true}}",
        )  # fmt: skip

    def search(self, space: dict[str, Any], total: int = 8, **settings: Any) -> None:
        use = (
            "  use: {component: ./use.yml, inputs: {best: '${{parent.jobs.train.outputs.out}}'}}\n"
        )
        self.pipeline(sweep(space, total, **settings) + use)

    def sweep(self) -> Sweep:
        found = load_pipeline(self.folder / "pipeline.yml").steps["train"].sweep
        assert found
        return found

    def problems(self) -> list[str]:
        return [finding.problem for finding in inspect_pipeline(self.folder / "pipeline.yml")[1]]

    def start(self, **arguments: Any) -> list[str]:
        """Run it; the names of the steps and trials that were reused."""
        self.said.clear()
        self.runs = Runs(self.folder / "runs")
        results = self.run(trials=self.runs, **arguments)
        again = [
            found[1] for line in self.said if (found := re.match(r".*(trial \d).* reused", line))
        ]
        return sorted(again) + [name for name, result in results.items() if result.reused]


@pytest.fixture
def work(tmp_path: Path) -> Trials:
    return Trials(tmp_path)


def choices(*values: Any) -> dict[str, Any]:
    return {"x": {"type": "choice", "values": list(values)}}


# --- the trials that a search makes -----------------------------------------------------------


def test_the_same_search_makes_the_same_trials_and_a_longer_one_begins_with_them(
    work: Trials,
) -> None:
    work.search(RANDOM)
    few = work.sweep().trials()
    assert few == work.sweep().trials()
    assert len({trial["x"] for trial in few}) == 8
    assert all(0 <= trial["x"] <= 1 for trial in few)
    work.search(RANDOM, 20)
    assert work.sweep().trials()[:8] == few
    work.search({"n": {"type": "randint", "upper": 9}, **RANDOM})
    assert [trial["x"] for trial in work.sweep().trials()] == [trial["x"] for trial in few]
    work.search(RANDOM, sampling_algorithm={"type": "random", "seed": 1})
    assert work.sweep().trials() != few


def test_a_grid_has_every_combination_up_to_the_limit(work: Trials) -> None:
    space = {**choices(1, 2), "n": {"type": "randint", "upper": 3}}
    work.search(space, 100, sampling_algorithm="grid")
    pairs = [(trial["x"], trial["n"]) for trial in work.sweep().trials()]
    assert pairs == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    work.search(space, 4, sampling_algorithm="grid")
    assert len(work.sweep().trials()) == 4


def test_no_trial_is_made_twice_where_a_space_is_small(work: Trials) -> None:
    work.search(choices(1, 2, 3), 10)
    assert sorted(trial["x"] for trial in work.sweep().trials()) == [1, 2, 3]


@pytest.mark.parametrize(
    ("part", "low", "high", "step"),
    [
        ({"type": "uniform", "min_value": 2, "max_value": 3}, 2, 3, 0),
        ({"type": "loguniform", "min_value": -3, "max_value": 2}, math.exp(-3), math.exp(2), 0),
        ({"type": "quniform", "min_value": 1, "max_value": 8, "q": 2}, 0, 8, 2),
        ({"type": "qloguniform", "min_value": 0, "max_value": 2, "q": 0.5}, 1, 7.5, 0.5),
        ({"type": "randint", "upper": 5}, 0, 4, 1),
    ],
)
def test_a_number_lies_where_its_distribution_says(
    work: Trials, part: dict[str, Any], low: float, high: float, step: float
) -> None:
    work.search({"x": part}, 200)
    found = [trial["x"] for trial in work.sweep().trials()]
    assert low <= min(found) <= max(found) <= high
    middle = (low + high) / 2
    assert min(found) < middle < max(found)
    if step:
        assert all(value == pytest.approx(round(value / step) * step) for value in found)
        assert {type(value) for value in found} == {int if step >= 1 else float}
    if part["type"] == "loguniform":
        assert 0.4 < sum(value < math.exp(-0.5) for value in found) / len(found) < 0.6


@pytest.mark.parametrize("kind", ["normal", "lognormal", "qnormal", "qlognormal"])
def test_a_normal_number_lies_about_its_mean(work: Trials, kind: str) -> None:
    q = {"q": 0.1} if kind[0] == "q" else {}
    work.search({"x": {"type": kind, "mu": 1, "sigma": 0.1, **q}}, 200)
    values = sorted(trial["x"] for trial in work.sweep().trials())
    centre = math.e if "log" in kind else 1
    assert values[len(values) // 2] == pytest.approx(centre, rel=0.1)


# --- what mlops check says --------------------------------------------------------------------


@pytest.mark.parametrize("goal", ["classification", "regression"])
def test_the_shipped_search_has_no_findings(goal: str) -> None:
    project = generated(problem_type=goal)
    found, findings = inspect_pipeline(project / "pipelines" / "sweep.yml")
    assert findings == []
    step = found.steps["train"]
    assert step.sweep
    assert step.sweep.objective.primary_metric.startswith("validation_")
    require_parameters_of_trials(find_project(project), found)


def test_a_search_differs_from_training_in_its_train_step_only() -> None:
    folder = generated() / "pipelines"
    training, searched = (read_yaml(folder / f"{n}.yml").data for n in ("training", "sweep"))
    for name in ("prepare", "evaluate", "register"):
        assert searched["jobs"][name] == training["jobs"][name]
    assert set(training["inputs"]) - set(searched["inputs"]) == {"learning_rate", "max_iterations"}


@pytest.mark.parametrize(
    ("space", "settings", "problem"),
    [
        ({"y": RANDOM["x"], **RANDOM}, {}, "the trial of step `train` has no input `y`"),
        ({"x": {"type": "unifrm"}}, {}, "`unifrm` is no type of distribution; did you mean `uniform`?"),
        ({"x": {"type": "uniform", "min_value": 0}}, {}, "search_space.x.max_value` is missing"),
        ({"x": {**RANDOM["x"], "max_valu": 1}}, {}, "x.max_valu` is not a setting; did you mean `max_value`?"),
        ({"x": {**RANDOM["x"], "min_value": 2}}, {}, "`min_value` is greater than `max_value`"),
        ({"x": {**RANDOM["x"], "type": "quniform"}}, {}, "`quniform` needs `q`"),
        ({"x": {**RANDOM["x"], "q": 1}}, {}, "`uniform` has no `q`; write `quniform`"),
        ({"x": {**RANDOM["x"], "max_value": 10}}, {}, "`x` must be at most 9, not 10.0"),
        ({"x": {**RANDOM["x"], "min_value": 0.1, "max_value": 5, "type": "loguniform"}}, {}, "takes the logarithm of the bounds"),
        (choices(1, "fast"), {}, "`x` must be of type number, not 'fast'"),
        ({**RANDOM, "n": RANDOM["x"]}, {}, "of type integer, and `uniform` gives fractions"),
        ({**RANDOM, "kind": RANDOM["x"]}, {}, "`kind` is searched by `uniform`; write `choice`"),
        ({**RANDOM, "data": {"type": "choice", "values": ["a"]}}, {}, "`data` is a path"),
        (RANDOM, {"inputs": {"x": 1}}, "`x` is searched: take it out of `inputs`"),
        (RANDOM, {"sampling_algorithm": "grid"}, "`x`: grid sampling does not take `uniform`"),
        ({"x": {"type": "normal", "mu": 0, "sigma": 1}}, {"sampling_algorithm": "bayesian"}, "does not take `normal`"),
        (RANDOM, {"sampling_algorithm": "bayes"}, "sampling_algorithm.type`: Input should be 'random', 'grid' or 'bayesian'"),
        (RANDOM, {"sampling_algorithm": None}, "the sweep step `train` needs `sampling_algorithm`"),
        (RANDOM, {"objective": {"primary_metric": "loss"}}, "objective.goal` is missing"),
        (RANDOM, {"objective": {"goal": "max", "primary_metric": "l"}}, "'maximize' or 'minimize'"),
        (RANDOM, {"limits": {"max_concurrent_trials": 1}}, "limits.max_total_trials` is missing"),
        (RANDOM, {"limits": {"max_total_trials": 1, "max_concurrent_trials": 2}}, "greater than `max_total_trials`"),
        (RANDOM, {"early_termination": {"type": "bandit"}}, "needs `slack_factor` or `slack_amount`"),
        (RANDOM, {"search_spaec": {}}, "`search_spaec` is no key here; did you mean `search_space`?"),
        (RANDOM, {"component": "./train.yml"}, "`component` is no key here"),
        (RANDOM, {"trial": "./trian.yml"}, "./trian.yml is missing"),
        ({}, {}, "`search_space` must name at least one input"),
    ],
)  # fmt: skip
def test_one_mistake_in_a_search_is_one_finding_at_its_line(
    work: Trials, space: dict[str, Any], settings: dict[str, Any], problem: str
) -> None:
    work.search(space, **settings)
    # The step that reads what the search writes, and the input that nothing binds, follow from it.
    findings = inspect_pipeline(work.folder / "pipeline.yml")[1]
    finding, *others = [f for f in findings if "must bind" not in f.problem]
    assert problem in finding.problem, [f.problem for f in findings]
    assert others == []
    assert 4 <= finding.line <= 12


@pytest.mark.parametrize(
    "policy",
    [
        {"type": "bandit", "slack_factor": 0.1, "evaluation_interval": 1},
        {"type": "median_stopping", "delay_evaluation": 5},
        {"type": "truncation_selection", "truncation_percentage": 20},
    ],
)
def test_policies_of_early_termination_are_taken(work: Trials, policy: dict[str, Any]) -> None:
    work.search(RANDOM, 1, early_termination=policy)
    assert work.problems() == []


def test_an_input_that_is_neither_bound_nor_searched_is_found(work: Trials) -> None:
    work.search({"n": {"type": "randint", "upper": 3}})
    assert work.problems() == ["step `train` must bind the input `x`"]


def test_a_train_step_that_is_older_than_its_search_is_told_what_to_log(project: Path) -> None:
    package = find_project(project).package
    edit(package / "train.py", "    folds: int = 0,\n", "")
    pipeline = load_pipeline(project / "pipelines" / "sweep.yml")
    with pytest.raises(InvalidFile) as caught:
        require_parameters_of_trials(find_project(project), pipeline)
    (finding,) = caught.value.findings
    assert finding.path.read_text().splitlines()[finding.line - 1] == "      folds: 3"
    assert "`train` in src/churn_model/train.py has no parameter `folds`" in finding.problem
    assert "`validation_roc_auc`" in finding.problem
    assert "docs/training.md" in finding.problem


# --- how trials are run on this machine -------------------------------------------------------


def test_the_best_trial_is_what_the_next_step_reads(work: Trials) -> None:
    work.search(choices(3, 1, 2))
    assert work.start() == []
    assert work.output("train", "x") == "1"
    assert work.runner.logs["use"].read_text() == "1\n"
    best = next(name for name, drawn in work.runs.started.items() if drawn["x"] == 1)
    assert work.runs.best == best
    assert {status for status, _ in work.runs.ended.values()} == {"FINISHED"}
    shown = work.runner.logs["train"].read_text()
    assert re.search(r"(?m)^\d +best +1 +1$", shown), shown
    assert f"train: {best[6:].replace('-', ' ')} of 3 is the best: loss 1 (x 1)" in work.said


def test_the_greatest_is_the_best_where_the_goal_says_so(work: Trials) -> None:
    work.search(choices(3, 1, 2), objective={"goal": "maximize", "primary_metric": "loss"})
    work.start()
    assert work.output("train", "x") == "3"


def test_finished_trials_are_reused_with_their_metrics_and_only_new_ones_run(work: Trials) -> None:
    work.search(choices(3, 1, 2), sampling_algorithm="grid")
    work.start()
    assert work.start() == ["trial 1", "trial 2", "trial 3", "train", "use"]
    assert [work.runs.ended[f"train-trial-{n}"][1] for n in (1, 2, 3)] == [
        {"loss": 3}, {"loss": 1}, {"loss": 2},
    ]  # fmt: skip
    work.search(choices(3, 1, 2, 4), sampling_algorithm="grid")
    assert work.start() == ["trial 1", "trial 2", "trial 3", "use"]
    work.search(choices(3, 1, 2, 0), sampling_algorithm="grid")
    assert work.start() == ["trial 1", "trial 2", "trial 3"]
    assert work.output("train", "x") == "0"
    assert work.start(cache=False) == []


def test_a_trial_that_fails_counts_as_failed_and_is_tried_again(work: Trials) -> None:
    work.trial(
        "echo told\n[ ${{inputs.x}} != 1 ]\n"
        "echo '{\"loss\": '${{inputs.x}}'}' > ../runs/$MLFLOW_RUN_ID\n"
        "echo ${{inputs.x}} > ${{outputs.out}}/x"
    )
    work.search(choices(3, 1, 2), sampling_algorithm="grid")
    work.start()
    assert work.output("train", "x") == "2"
    assert work.runs.ended["train-trial-2"] == ("FAILED", {})
    (line,) = [line for line in work.said if "failed" in line]
    assert line.startswith("train: trial 2 of 3: failed with exit status 1 (x 1); its log: ")
    assert Path(line.rpartition(" ")[2]).read_text() == "told\n"
    assert re.search(r"(?m)^2 +failed +- +1$", work.runner.logs["train"].read_text())
    assert work.start() == ["trial 1", "trial 3", "use"]


@pytest.mark.parametrize(("status", "exit_status"), [(1, 1), (3, 3)])
def test_where_all_trials_fail_the_log_of_the_first_says_why(
    work: Trials, status: int, exit_status: int
) -> None:
    work.trial(f"echo because of ${{{{inputs.x}}}}\nexit {status}")
    work.search(choices(3, 1, 2), sampling_algorithm="grid")
    with pytest.raises(StepFailed) as caught:
        work.start()
    assert caught.value.exit_status == exit_status
    assert str(caught.value).startswith("all 3 trials of step `train` failed; the first one: step")
    assert str(caught.value).endswith("because of 3")


def test_a_trial_that_does_not_log_the_metric_says_which_and_what_to_do(work: Trials) -> None:
    work.search(RANDOM, 2, objective={"goal": "minimize", "primary_metric": "rmse"})
    with pytest.raises(MlopsError) as caught:
        work.start()
    message = str(caught.value)
    assert re.search(
        r"pipeline\.yml:\d+: trial \d of step `train` did not log the metric `rmse`", message
    )
    assert "it logged loss" in message
    assert "docs/training.md" in message


def test_a_metric_that_is_no_number_is_never_the_best(work: Trials) -> None:
    work.trial("echo '{\"loss\": NaN}' > ../runs/$MLFLOW_RUN_ID")
    work.search(RANDOM, 2)
    for _ in range(2):
        with pytest.raises(MlopsError, match="`loss` is not a number in any trial"):
            work.start()


def test_so_many_trials_run_at_once_as_there_are_processors_and_limits_allow(
    work: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = "i=0; until [ $(ls .. | grep -c here) -ge 2 ]; do i=$((i+1)); [ $i -lt 100 ] || exit 9; sleep 0.05; done"
    work.trial(
        f"touch ../here-$MLFLOW_RUN_ID\n{wait}\necho '{{\"loss\": 1}}' > ../runs/$MLFLOW_RUN_ID"
    )
    work.component("use", "true", "inputs: {best: {type: uri_folder}}")
    work.search(RANDOM, 2)
    monkeypatch.setattr(search, "processors", lambda: 8)
    work.start()
    assert work.said[0] == "train ... 2 trials, 2 at a time"
    monkeypatch.setattr(search, "processors", lambda: 1)
    work.start()
    assert work.said[0] == "train ... 2 trials, 1 at a time"


@pytest.mark.parametrize("limit", ["trial_timeout", "timeout"])
def test_a_trial_that_takes_too_long_is_ended(work: Trials, limit: str) -> None:
    work.trial("sleep 60")
    work.search(RANDOM, 3, limits={"max_total_trials": 3, "max_concurrent_trials": 3, limit: 1})
    with pytest.raises(StepFailed, match="a timeout in `limits`"):
        work.start()


def test_a_search_whose_neighbour_fails_is_ended(work: Trials) -> None:
    work.trial("sleep 60")
    work.component("fail", "sleep 0.5; false")
    work.pipeline(sweep(RANDOM, 8) + "  fail: {component: ./fail.yml}\n")
    with pytest.raises(StepFailed, match="`fail`"):
        work.start()
    assert {status for status, _ in work.runs.ended.values()} == {"KILLED"}
    assert len(work.runs.started) <= 2


@pytest.mark.parametrize("sampling", ["bayesian", {"type": "random", "rule": "sobol"}])
def test_what_this_machine_does_not_do_is_said(work: Trials, sampling: Any) -> None:
    policy = {"type": "median_stopping"}
    work.search(RANDOM, 2, sampling_algorithm=sampling, early_termination=policy)
    work.start()
    kind = sampling if isinstance(sampling, str) else sampling["rule"]
    assert f"train: {kind} sampling is random sampling on this machine" in work.said
    assert "train: no trial is terminated early on this machine" in work.said


def test_a_value_that_the_search_draws_is_one_word_of_the_command(tmp_path: Path) -> None:
    work = Trials(tmp_path, "printf %s ${{inputs.kind}} > ${{outputs.out}}/x\n"
                            "echo '{\"loss\": 1}' > ../runs/$MLFLOW_RUN_ID")  # fmt: skip
    word = "a b'; $HOME"
    work.search({"kind": {"type": "choice", "values": [word]}}, 1, inputs={"x": 1})
    work.start()
    assert work.output("train", "x") == word
