"""The demo's table: real, from a package, and drifting by itself as the demo shows it."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import yaml
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

from mlops import metrics
from mlops.contract import Column, Contract, load_contract
from mlops.documents import read_yaml, validate
from mlops.drift_demo import Plan
from mlops.metrics import METRICS
from mlops.monitoring.columns import ColumnProfile, kind_of
from mlops.monitoring.drift import distance_of
from mlops.monitoring.significance import of_categories, of_numbers
from mlops.step import step_module
from mlops.tables import read_table
from mlops.validation import validate_table

from ..conftest import generated, not_here

WINDOW_DAYS = 1095  # three years
EARLY, ALARM, RECENT = (1965, 1968, 1971), 1986, (1980, 1983, 1986)
JENSEN_SHANNON = "jensen_shannon_distance"
ESTIMATORS = {
    "classification": HistGradientBoostingClassifier,
    "regression": HistGradientBoostingRegressor,
}
METRIC = {"classification": "f1", "regression": "rmse"}


@dataclass(frozen=True)
class Demo:
    """The table of a problem type, and models of what was known of some years."""

    folder: Path
    contract: Contract
    table: pd.DataFrame
    models: dict[tuple[int, ...], Any] = field(default_factory=dict)

    @property
    def metric(self) -> metrics.Metric:
        return METRICS[self.contract.problem_type][METRIC[self.contract.problem_type]]

    def rows(self, *years: int, held_out: bool | None = None) -> pd.DataFrame:
        """The rows of some years: all, those that are held out, or the others."""
        chosen = self.table["year_end"].dt.year.isin(years)
        if held_out is not None:
            hidden = step_module("prepare").is_held_out(self.table, self.contract, 0.2)
            chosen &= hidden == held_out
        return self.table[chosen]

    def trained_on(self, *years: int) -> Any:
        """A model of the template's kind, with its defaults; trained once."""
        if years not in self.models:
            self.models[years] = self._train(*years)
        return self.models[years]

    def _train(self, *years: int) -> Any:
        rows = self.rows(*years, held_out=False)
        codes = make_column_transformer(
            (OrdinalEncoder(), ["region"]), remainder="passthrough", verbose_feature_names_out=False
        )
        estimator = ESTIMATORS[self.contract.problem_type](
            learning_rate=0.1, max_iter=100, categorical_features=[0], random_state=0
        )
        features = rows[list(self.contract.features)]
        return make_pipeline(codes, estimator).fit(features, rows[self.contract.target])

    def answers(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
        features = rows[list(self.contract.features)]
        answers = pd.DataFrame({"prediction": model.predict(features)})
        if self.contract.classes:
            probabilities = model.predict_proba(features).T
            for name, column in zip(model.classes_, probabilities):
                answers[f"probability_{name}"] = column
        return answers

    def quality(self, model: Any, year: int) -> float:
        """The metric of the demo in a year, the greater the better."""
        rows = self.rows(year)
        truth = rows[self.contract.target]
        value = metrics.compute(self.contract, truth, self.answers(model, rows))[self.metric.name]
        return value if self.metric.greater_is_better else -value

    def drift(self, year: int) -> dict[str, tuple[float, float]]:
        """Per feature, how far a year is from the held-out early rows, and the chance of that."""
        found = {}
        for name, column in self.contract.features.items():
            before, now = (
                _profile(column, rows[name])
                for rows in (self.rows(*EARLY, held_out=True), self.rows(year))
            )
            chance = (
                of_categories(before.categories, now.categories)
                if column.type == "category"
                else of_numbers(before.numbers, now.numbers)
            )
            found[name] = (distance_of(JENSEN_SHANNON, before, now), chance)
        return found


def _profile(column: Column, values: pd.Series) -> ColumnProfile:
    kind = kind_of(column)
    assert kind is not None
    profile = ColumnProfile(kind)
    profile.add(pa.Array.from_pandas(values))
    return profile


@cache
def demo_of(problem_type: str) -> Demo:
    folder = generated(problem_type=problem_type) / "monitoring" / "demo"
    contract = load_contract(folder / "contract.yml")
    table = validate_table(read_table(folder / "table.parquet", contract), contract)
    return Demo(folder, contract, table)


@pytest.fixture(params=list(ESTIMATORS))
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    # A few hundred rows: on a machine with much to do, threads would only wait for each other.
    with threadpool_limits(1):
        yield demo_of(request.param)


def test_the_table_obeys_its_contract_and_has_every_third_year(demo: Demo) -> None:
    assert demo.table[str(demo.contract.timestamp)].is_monotonic_increasing
    counts = demo.table["year_end"].dt.year.value_counts().sort_index()
    assert counts.to_dict() == dict.fromkeys(range(1965, 2014, 3), 202)
    assert set(demo.table["region"]) == set(demo.contract.columns["region"].values or ())
    assert (demo.folder / "table.parquet").stat().st_size < 150_000


def test_the_table_is_what_the_package_holds(demo: Demo) -> None:
    try:
        import bokeh_sampledata  # noqa: F401
    except ImportError:
        not_here("the package bokeh-sampledata is not installed")
    made = runpy.run_path(str(demo.folder / "table.py"))["make_table"]()
    kept = pd.read_parquet(demo.folder / "table.parquet")
    pd.testing.assert_frame_equal(made, kept, check_exact=True)


def test_each_window_of_the_plan_has_all_countries_once(demo: Demo) -> None:
    plan = validate(read_yaml(demo.folder / "plan.yml"), Plan)
    days = demo.table["year_end"].dt.date
    assert set(demo.table[days < plan.trained_until]["year_end"].dt.year) == set(EARLY)
    for start, end in zip((plan.trained_until, *plan.windows), plan.windows):
        assert ((days >= start) & (days < end)).sum() == 202, end
        # The window that the monitor looks at ends with the demo's, and leap days are left out.
        assert 0 <= (end - start).days - WINDOW_DAYS <= 1


def test_the_demo_watches_what_a_project_watches(demo: Demo) -> None:
    def watched(file: Path) -> dict[str, Any]:
        """A monitor without its windows and the values of its thresholds."""
        content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        for signal in content["create_monitor"]["monitoring_signals"].values():
            del signal["metric_thresholds"]
            given = signal["production_data"]
            for data in [given] if isinstance(given, dict) else given:
                data["data_window"] = None
        return content

    assert watched(demo.folder / "monitor.yml") == watched(demo.folder.parent / "monitor.yml")
    text = (demo.folder / "monitor.yml").read_text(encoding="utf-8")
    assert text.count(f"lookback_window_size: P{WINDOW_DAYS}D") == 2
    assert text.count("lookback_window_size") == 2


def test_life_expectancy_moves_by_itself_and_place_and_size_do_not(demo: Demo) -> None:
    for year in (1974, 1977, 1980):
        assert all(chance > 0.05 / 4 for _, chance in demo.drift(year).values()), year
    distance, chance = demo.drift(ALARM)["life_expectancy"]
    assert distance > 0.25
    assert chance < 0.01 / 4
    late = demo.drift(2013)
    assert late["life_expectancy"][0] > 0.45
    assert late["population_growth"][1] < 1e-4
    for name in ("population", "region"):
        assert late[name][0] < 0.2, name
        assert late[name][1] > 0.01, name


def test_the_early_model_falls_behind_and_one_of_recent_years_does_better(demo: Demo) -> None:
    frozen, retrained = demo.trained_on(*EARLY), demo.trained_on(*RECENT)
    first, then, last = (demo.quality(frozen, year) for year in (1974, 1989, 2013))
    after, later = (demo.quality(retrained, year) for year in (1989, 2013))
    if demo.contract.classes:  # F1
        assert first > 0.86
        assert last < first - 0.12
        assert after > then + 0.08
        assert later > last + 0.1
    else:  # minus RMSE, in children per woman
        assert first > -0.75
        assert last < first - 0.3
        assert after > then + 0.2
        assert later > last + 0.1


def test_on_recent_rows_that_none_was_trained_on_the_new_model_is_better_beyond_noise(
    demo: Demo,
) -> None:
    rows = demo.rows(*RECENT, held_out=True)
    answers = [demo.answers(demo.trained_on(*years), rows) for years in (RECENT, EARLY)]
    difference, bound = metrics.paired_difference(
        demo.contract, demo.metric, rows[demo.contract.target], *answers, confidence=0.95
    )
    assert difference > 0.07
    assert bound > 0.02
