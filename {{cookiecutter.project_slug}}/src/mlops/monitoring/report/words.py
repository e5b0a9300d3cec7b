"""What signals, metrics and decisions are called, and what they say, in plain sentences.

The definitions of the metrics are Azure ML's; see "Model monitoring in Azure Machine Learning".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlops.decisions import Decision
from mlops.monitoring.report.numbers import count, number, plural, share, short
from mlops.monitoring.results import (
    Distribution,
    FeatureResult,
    MetricResult,
    SignalResult,
    State,
)
from mlops.status import is_refusal

STATES: dict[State, str] = {"fine": "Fine", "breached": "Breached", "unknown": "Says nothing"}

SIGNALS: dict[str, tuple[str, str]] = {
    "data_drift": ("Data drift", "Whether the inputs are distributed as in the reference."),
    "prediction_drift": (
        "Prediction drift",
        "Whether the answers are distributed as in the reference.",
    ),
    "data_quality": (
        "Data quality",
        "Values that are missing, of another type, or outside what the reference holds.",
    ),
    "feature_attribution_drift": (
        "Feature attribution drift",
        "Whether the answers still rest on the same features, in the same order.",
    ),
    "model_performance": (
        "Model performance",
        "How good the answers were, by the labels that came later.",
    ),
}

DECISIONS = {
    "gate": "Gate", "promotion": "Promotion", "smoke-test": "Smoke test",
    "acceptance-test": "Acceptance test", "batch-test": "Test in batches", "rollout": "Rollout",
    "rollback": "Rollback", "retraining": "Retraining", "monitor": "Monitor",
}  # fmt: skip


# How a decision went, where it is not accepted or refused.
VERDICTS = {
    "smoke-test": ("passed", "failed"), "acceptance-test": ("passed", "failed"),
    "batch-test": ("passed", "failed"), "rollout": ("done", "failed"),
    "rollback": ("done", "failed"), "retraining": ("a training starts", "no training starts"),
    "monitor": ("within its limits", "alarm"),
}  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """A metric: its name, how its values are written, and what it is in a line."""

    name: str
    shown_as: Literal["number", "share", "chance"] = "number"
    definition: str = ""

    def show(self, value: float | None) -> str:
        """A value of it."""
        return share(value) if self.shown_as == "share" else number(value)


METRICS = {
    "jensen_shannon_distance": Metric(
        "Jensen-Shannon distance",
        definition="How far two distributions are apart, from 0 (the same) to 1 (nothing in common).",
    ),
    "normalized_wasserstein_distance": Metric(
        "Normalised Wasserstein distance",
        definition="How far values would have to be moved to turn one distribution into the other, "
        "in standard deviations of the reference.",
    ),
    "population_stability_index": Metric(
        "Population stability index",
        definition="The sum over all bins of the difference of the shares times the logarithm of "
        "their ratio; 0 is the same.",
    ),
    "two_sample_kolmogorov_smirnov_test": Metric(
        "Kolmogorov-Smirnov test",
        "chance",
        "The chance that two samples of the same numbers differ as much (a p-value).",
    ),
    "pearsons_chi_squared_test": Metric(
        "Pearson's chi-squared test",
        "chance",
        "The chance that two samples of the same categories differ as much (a p-value).",
    ),
    "null_value_rate": Metric("Missing values", "share", "The share of values that are missing."),
    "data_type_error_rate": Metric(
        "Type errors", "share", "The share of values that are not of the column's type."
    ),
    "out_of_bounds_rate": Metric(
        "Out of bounds",
        "share",
        "The share of values outside the range of the reference, or not among its categories.",
    ),
    "normalized_discounted_cumulative_gain": Metric(
        "Normalised discounted cumulative gain",
        definition="How well the order of the features by importance agrees with that of the "
        "reference; 1 is the same order.",
    ),
    "accuracy": Metric("Accuracy", definition="The share of answers that were right."),
    "precision": Metric(
        "Precision", definition="Of the answers that named a class, the share that was right."
    ),
    "recall": Metric("Recall", definition="Of the rows of a class, the share that was found."),
    "f1": Metric("F1"),
    "roc_auc": Metric("ROC AUC"),
    "log_loss": Metric("Log loss"),
    "r2": Metric("R²"),
    "f1_score": Metric("F1 score", definition="The harmonic mean of precision and recall."),
    "error_rate": Metric(
        "Error rate",
        "share",
        "The share of requests that the endpoint answered with an error (5xx).",
    ),
    "mae": Metric(
        "Mean absolute error", definition="The mean size of the errors, in the target's unit."
    ),
    "mse": Metric("Mean squared error", definition="The mean of the squared errors."),
    "rmse": Metric(
        "Root mean squared error",
        definition="The root of the mean squared error, in the target's unit.",
    ),
}


def metric_of(name: str) -> Metric:
    """What is known of a metric; of any other, its name."""
    return METRICS.get(name) or Metric(spoken(name))


def spoken(name: str) -> str:
    """A name of a file or a setting as words: `data_drift` is `Data drift`."""
    words = name.replace("_", " ").strip() or name
    return words[:1].upper() + words[1:]


def signal_title(signal: SignalResult) -> str:
    """What a signal is called: by its type, unless the file gives it a name of its own."""
    known = SIGNALS[signal.type][0] if signal.type in SIGNALS else spoken(signal.type)
    return known if signal.name == signal.type else f"{signal.name} ({known.lower()})"


def decision_title(kind: str) -> str:
    """What a kind of decision is called."""
    return DECISIONS.get(kind) or spoken(kind.replace("-", "_"))


def verdict_text(decision: Decision) -> str:
    """How a decision went, in a word or two."""
    yes, no = VERDICTS.get(decision.kind, ("accepted", "refused"))
    if decision.accepted and is_refusal(decision):
        return "the model was refused"
    return yes if decision.accepted else no


def limit_text(metric: MetricResult) -> str:
    """The threshold of a metric: `at most 0.2`."""
    if metric.threshold is None:
        return ""
    return f"{metric.comparison} {metric_of(metric.name).show(metric.threshold)}"


def beyond(value: float | None, metric: MetricResult) -> bool:
    """Whether a value lies beyond a metric's threshold."""
    if value is None or metric.threshold is None:
        return False
    at_most = metric.comparison == "at most"
    return value > metric.threshold if at_most else value < metric.threshold


def rule_text(rule: str) -> str:
    """The rule of a check, with the metric that it ends with by its name."""
    before, colon, last = rule.rpartition(": ")
    return f"{before}{colon}{METRICS[last].name}" if last in METRICS else rule


def note_of(feature: FeatureResult) -> str:
    """What is peculiar about a column, with the values that the reference does not have."""
    named = ", ".join(f"`{short(value, 40)}`" for value in feature.unseen)
    return ": ".join(filter(None, (feature.note, named)))


def says_nothing(note: str) -> str:
    """Why a signal or a feature is unknown."""
    return f"says nothing: {note}" if note else "says nothing"


def found_by(signal: SignalResult) -> str:
    """How many of a signal's features are breached, or how it is as a whole."""
    if signal.state == "unknown":
        return signal.note or "no reason is known"
    named = [feature for feature in signal.features if feature.name]
    breached = [feature for feature in signal.breached if feature.name]
    if breached:
        what = "column" if signal.type in ("data_quality", "prediction_drift") else "feature"
        return f"{count(len(breached))} of {plural(len(named), what)} beyond a threshold"
    metrics = [metric for feature in signal.features for metric in feature.metrics]
    if bad := sum(metric.breached for metric in metrics):
        return f"{count(bad)} of {plural(len(metrics), 'metric')} beyond the threshold"
    return "within its thresholds"


def sentence(signal: SignalResult, feature: FeatureResult, metric: MetricResult) -> str:
    """What a metric beyond its threshold means, for a person who does not know the metric."""
    known = metric_of(metric.name)
    value = known.show(metric.value)
    if metric.name == "null_value_rate":
        return f"{value} of the values are missing{_before(metric, known)}."
    if metric.name == "data_type_error_rate":
        return f"{value} of the values have another type than the column{_before(metric, known)}."
    if metric.name == "out_of_bounds_rate":
        what = (
            "are categories that the reference does not have"
            if feature.kind == "categorical"
            else "lie outside the range of the reference"
        )
        return f"{value} of the values {what}{_before(metric, known)}."
    if metric.name == "normalized_discounted_cumulative_gain":
        return "The answers rest on other features than before, or on the same in another order."
    if signal.type == "model_performance":
        moved = "fell to" if metric.comparison == "at least" else "rose to"
        return (
            f"{known.name} {moved} {value}{_before(metric, known, '; it was {} in the reference')}."
        )
    changed = change(feature.reference, feature.production, feature.unit)
    return changed or "The values are distributed differently than in the reference."


def change(before: Distribution | None, now: Distribution | None, unit: str = "") -> str:
    """What moved between two distributions: the mean of numbers, the share of a category."""
    if before is None or now is None or not before.shares or not now.shares:
        return ""
    if before.labels or now.labels:
        shares = dict(zip(before.labels, before.shares))
        moved = {name: part - shares.get(name, 0) for name, part in zip(now.labels, now.shares)}
        moved |= {name: -part for name, part in shares.items() if name not in moved}
        name = max(moved, key=lambda label: abs(moved[label]))
        old, new = shares.get(name, 0), dict(zip(now.labels, now.shares)).get(name, 0)
        return (
            f"The share of “{short(name, 60)}” {_went(old, new)} from {share(old)} to {share(new)}."
        )
    if before.mean is None or now.mean is None:
        return ""
    old_text, new_text = number(before.mean), number(now.mean)
    of_unit = f" {unit}" if unit else ""
    if old_text == new_text:
        return f"The mean stayed at {new_text}{of_unit}, but the shape of the distribution changed."
    return f"The mean {_went(before.mean, now.mean)} from {old_text} to {new_text}{of_unit}."


def _before(metric: MetricResult, known: Metric, words: str = ", {} in the reference") -> str:
    return "" if metric.reference is None else words.format(known.show(metric.reference))


def _went(old: float, new: float) -> str:
    return "rose" if new > old else "fell"
