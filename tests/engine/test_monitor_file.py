"""`monitoring/monitor.yml`: what a project's check says of it, and of the thresholds beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlops.checks import check_project
from mlops.documents import read_yaml
from mlops.monitoring.definition import load_monitor
from mlops.project import find_project

from .builders import edit

FILE = "monitoring/monitor.yml"


def findings(project: Path) -> list[tuple[str, int, str]]:
    """File, line and problem of each finding; without azure-ai-ml."""
    return [
        (f.path.relative_to(project).as_posix(), f.line, f.problem)
        for f in check_project(find_project(project), with_azure=False)
    ]


def change(project: Path, signal: str, old: str, new: str) -> int:
    """Replace a text below a signal, where it stands there first; the line of the new text."""
    file = project / FILE
    text = file.read_text("utf-8")
    start = text.index(f"    {signal}:\n")
    place = text.index(old, start)
    file.write_text(text[:place] + new + text[place + len(old) :], "utf-8")
    return text[:place].count("\n") + 1


ACCURACY = """classification:
          accuracy: 0.85
          precision: 0.85
          recall: 0.85"""
MISTAKES = [
    ("data_drift", "type: data_drift", "type: data_drif",
     "'data_drif' is no type of a signal; did you mean `data_drift`?"),
    ("data_drift", "jensen_shannon_distance: 0.2", "jensen_shanon_distance: 0.2",
     r"`metric_thresholds.numerical.jensen_shanon_distance` is no metric of data_drift; did you "
     "mean `jensen_shannon_distance`?"),
    ("data_quality", "null_value_rate: 0.01", "null_value_rate: one percent",
     "`metric_thresholds.numerical.null_value_rate` must be a number, not 'one percent'"),
    ("data_quality", "null_value_rate: 0.01", "null_value_rate: -1",
     "`metric_thresholds.numerical.null_value_rate` must not be negative, as -1 is"),
    ("prediction_drift", "jensen_shannon_distance: 0.2", "jensen_shannon_distance: 0",
     "must be above 0, which azure-ai-ml takes for no threshold"),
    ("data_quality", "null_value_rate: 0.01", "null_value_rate: yes",
     "`metric_thresholds.numerical.null_value_rate` must be a number, not True"),
    ("prediction_drift", "categorical:", "categoric:",
     "`metric_thresholds.categoric` is no kind of column; did you mean `categorical`?"),
    ("feature_attribution_drift", "normalized_discounted_cumulative_gain", "ndcg",
     "`metric_thresholds.ndcg` is no metric of feature_attribution_drift; write one of"),
    ("model_performance", ACCURACY, "regression:\n          mae: 3",
     "`regression`: data/contract.yml says classification"),
    ("model_performance", "lookback_window_size: P30D", "lookback_window_size: 30 days",
     "write a duration in ISO 8601, such as P7D or PT6H, not '30 days'"),
    ("model_performance", "lookback_window_size: P30D", "lookback_window_size: P0D",
     "write a duration in ISO 8601, such as P7D or PT6H, not 'P0D'"),
    ("data_drift", "features: all_features", "features: [mean_radus]",
     "`mean_radus` is no feature; did you mean `mean_radius`?"),
    ("data_drift", "features: all_features", "feature_type_override: {mean_radus: numerical}",
     "`mean_radus` is no feature; did you mean `mean_radius`?"),
    ("data_drift", "alert_enabled: true", "alert_enable: true",
     "alert_enable` is not a setting; did you mean `alert_enabled`?"),
    ("feature_attribution_drift", "target_column: prediction", "target_column: diagnosis",
     "`target_column` is `diagnosis`, but the model's answers are in the column `prediction`"),
    ("model_performance", "join_column: set-from-contract", "join_column: sample",
     "`join_column` is `sample`, but the id in data/contract.yml is `sample_id`"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("signal", "old", "new", "problem"), MISTAKES, ids=[new for _, _, new, _ in MISTAKES]
)
def test_a_mistake_in_a_signal_is_found_with_its_line(
    project: Path, signal: str, old: str, new: str, problem: str
) -> None:
    line = change(project, signal, old, new)
    found = findings(project)
    assert {(file, at) for file, at, _ in found} >= {(FILE, line)}, found
    assert {file for file, _, _ in found} == {FILE}
    assert any(problem in said for _, at, said in found if at == line), found


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("frequency: day", "frequency: fortnight", "`trigger.frequency`: Input should be 'minute'"),
        ("interval: 1", "interval: 0", "`trigger.interval`: Input should be greater than or equal"),
        ("standard_e4s_v3", "standard_d4s_v3",
         "`compute.instance_type` is standard_d4s_v3; write one of standard_e4s_v3, standard_e8s_v3"),
        ('runtime_version: "3.4"', 'runtime_version: "3.3"',
         "`compute.runtime_version` is 3.3; write one of 3.4, 3.5"),
        ("ml_task: classification", "ml_task: regression",
         "`ml_task` is regression, and data/contract.yml says classification"),
        ("monitoring_signals:", "monitoring_signal:", "must name at least one signal"),
    ],
)  # fmt: skip
def test_a_mistake_beside_the_signals_is_found_with_its_line(
    project: Path, old: str, new: str, problem: str
) -> None:
    line = edit(project / FILE, old, new)
    ((file, at, said),) = findings(project)
    # What is missing has no line of its own: that of what it is missing in.
    assert (file, at) == (FILE, line if "must name" not in problem else 18)
    assert problem in said


def test_what_several_signals_share_is_told_once_for_each_of_them(project: Path) -> None:
    line = edit(project / FILE, "lookback_window_size: P7D", "lookback_window_size: P7")
    found = findings(project)
    assert {(file, at) for file, at, _ in found} == {(FILE, line)}
    signals = {re.search(r"monitoring_signals\.(\w+)", said)[1] for _, _, said in found}  # type: ignore[index]
    assert signals == {
        "data_drift",
        "prediction_drift",
        "data_quality",
        "feature_attribution_drift",
    }


@pytest.mark.parametrize(
    ("thresholds", "problem"),
    [
        ("{data_drit: {numerical: {jensen_shannon_distance: 0.3}}}",
         "`data_drit` is no signal of monitoring/monitor.yml; did you mean `data_drift`?"),
        ("{data_drift: {numerical: {jensen_shanon_distance: 0.3}}}",
         "jensen_shanon_distance` is no metric of data_drift; did you mean"),
        ("{data_drift: {text: {jensen_shannon_distance: 0.3}}}",
         "`metric_thresholds.text` is no kind of column; write one of categorical, numerical"),
        ("{data_drift: {numerical: 0.3}}",
         "`metric_thresholds.numerical` must be a mapping of `metric: threshold` lines"),
        ("{data_drift: {numerical: {jensen_shannon_distance: high}}}", "valid number"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_environments_thresholds_is_found_there(
    project: Path, thresholds: str, problem: str
) -> None:
    line = edit(project / "environments/prod.yml", "thresholds: {}", f"thresholds: {thresholds}")
    found = findings(project)
    assert {(file, at) for file, at, _ in found} == {("environments/prod.yml", line)}
    assert any(problem in said for _, _, said in found), found


def test_an_environment_replaces_single_thresholds(project: Path) -> None:
    thresholds = (
        "{data_drift: {numerical: {jensen_shannon_distance: 0.3}}, "
        "feature_attribution_drift: {normalized_discounted_cumulative_gain: 0.8}}"
    )
    edit(project / "environments/prod.yml", "thresholds: {}", f"thresholds: {thresholds}")
    assert findings(project) == []
    monitors = {
        name: load_monitor(find_project(project), find_project(project).environment(name))
        for name in ("dev", "prod")
    }
    dev, prod = (
        {name: signal.metric_thresholds for name, signal in monitor.signals.items()}
        for monitor in monitors.values()
        if monitor
    )
    assert dev["data_drift"]["numerical"]["jensen_shannon_distance"] == 0.2
    assert prod["data_drift"] == {
        "numerical": {"jensen_shannon_distance": 0.3, "normalized_wasserstein_distance": 0.2},
        "categorical": {"jensen_shannon_distance": 0.2},
    }
    assert prod["feature_attribution_drift"] == {"normalized_discounted_cumulative_gain": 0.8}
    assert prod["model_performance"] == dev["model_performance"]


def test_what_only_azure_computes_and_somebody_elses_reference_are_left_alone(
    project: Path,
) -> None:
    change(
        project, "data_drift", "azureml:set-by-release@latest\n        data_context: test",
        "azureml:our-own:3\n        data_context: training\n        data_column_names: "
        "{target_column: label}",
    )  # fmt: skip
    edit(
        project / FILE, "  monitoring_signals:\n",
        "  monitoring_signals:\n    ours: {type: custom, component_id: azureml:ours:1}\n",
    )  # fmt: skip
    assert findings(project) == []
    monitor = load_monitor(find_project(project), find_project(project).environment("prod"))
    assert monitor is not None
    assert monitor.left_out == {"ours": "custom"} and "ours" not in monitor.signals


def test_without_an_id_the_labels_cannot_be_joined_to_the_answers(project: Path) -> None:
    edit(project / "data/contract.yml", "id: sample_id\n", "")
    edit(project / "data/contract.yml", "  sample_id: {type: integer, minimum: 1}\n", "")
    change(project, "model_performance", "join_column: set-from-contract", "join_column: sample_id")
    said = [problem for file, _, problem in findings(project) if file == FILE]
    assert said == ["`join_column` is `sample_id`, but data/contract.yml names no `id` to join by"]


def test_a_project_of_an_older_release_has_no_monitor_and_nothing_to_find(project: Path) -> None:
    (project / FILE).unlink()
    assert findings(project) == []
    assert load_monitor(find_project(project), find_project(project).environment("dev")) is None


def test_the_file_says_each_thing_once(project: Path) -> None:
    """Its anchors: what several signals look at stands there once, and each of them has it."""
    signals = read_yaml(project / FILE).data["create_monitor"]["monitoring_signals"]
    inputs, outputs = (
        signals[name]["production_data"] for name in ("data_drift", "prediction_drift")
    )
    assert signals["data_quality"]["production_data"] == inputs
    assert signals["feature_attribution_drift"]["production_data"] == [inputs, outputs]
    assert all(signal["alert_enabled"] for signal in signals.values())
