"""Results of monitors as real ones are, for the pages' tests and for the pictures in the docs."""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import yaml

from mlops.decisions import Check, Decision
from mlops.monitoring.results import (
    Distribution,
    FeatureResult,
    HealthPoint,
    HealthResult,
    MetricResult,
    MonitorResult,
    Point,
    SignalResult,
    State,
)
from mlops.status import Overview
from tests.conftest import TEMPLATE

MADE = datetime.datetime(2026, 5, 18, 3, 15, tzinfo=datetime.timezone.utc)
WEEK = datetime.timedelta(days=7)
JSD, WASSERSTEIN = "jensen_shannon_distance", "normalized_wasserstein_distance"
NULLS, TYPES, BOUNDS = "null_value_rate", "data_type_error_rate", "out_of_bounds_rate"
NDCG = "normalized_discounted_cumulative_gain"

# How far the mean of a feature has moved in the last window, in standard deviations.
MOVED = {"mean_radius": 1.4, "worst_area": 0.95, "mean_texture": -0.8, "radius_error": 0.3}
MISSING = {"concavity_error": 0.064, "worst_symmetry": 0.004}


def classification(features: int = 30, windows: int = 8) -> MonitorResult:
    """A model on the breast cancer table whose inputs have moved for three weeks."""
    columns = _columns("classification", features)
    rng = random.Random(7)
    drift = [_drifted(rng, name, column, windows) for name, column in columns.items()]
    return MonitorResult(
        environment="prod", model="churn-model", version=4, origin="dev/7",
        endpoint="churn-model-prod", deployment="version-4", made=MADE,
        minimum_rows=50, significance=0.01,
        problems=("3 lines in 2 files cannot be read", "17 requests were collected twice and count once"),
        signals=(
            _signal("data_drift", drift),
            _signal("prediction_drift", [_predictions(rng, windows)]),
            _signal("data_quality", [_quality(rng, name, windows) for name in columns]),
            _signal("feature_attribution_drift", _attribution(rng, list(columns), windows)),
            _signal("model_performance", [_performance(windows)], days=30, rows=412),
        ),
        health=_health(errors=0.023),
    )  # fmt: skip


def regression() -> MonitorResult:
    """A model on the diabetes table in which nothing is wrong, and whose labels are not there yet."""
    columns = _columns("regression", 10)
    rng = random.Random(11)
    drift = [
        _categorical(rng, name, ("1", "2"), 8)
        if column.get("type") == "category"
        else _drifted(rng, name, column, 8)
        for name, column in columns.items()
    ]
    labels = "no label has arrived for the 1,203 answers of this window"
    return MonitorResult(
        environment="prod", model="progression", version=2, origin="dev/3",
        endpoint="progression-prod", deployment="version-2", made=MADE,
        minimum_rows=50, significance=0.01,
        signals=(
            _signal("data_drift", drift),
            _signal("data_quality", [_quality(rng, name, 8, clean=True) for name in columns]),
            _signal("model_performance", [], state="unknown", note=labels),
        ),
        health=_health(errors=0.0004),
    )  # fmt: skip


def unknown() -> MonitorResult:
    """A new endpoint: nothing can be said of anything."""
    few = "12 rows, 50 needed"
    silent = FeatureResult(name="mean_radius", kind="numerical", state="unknown", note=few)
    return MonitorResult(
        environment="staging", model="churn-model", version=1, origin="dev/1",
        endpoint="churn-model-staging", deployment="version-1", made=MADE, minimum_rows=50,
        significance=0.01,
        signals=(
            _signal("data_drift", [silent], state="unknown", note=few, rows=12),
            _signal("model_performance", [], state="unknown", note="no label has arrived", rows=0),
        ),
        health=HealthResult(state="unknown", note="no request in the window"),
    )  # fmt: skip


def empty() -> MonitorResult:
    """A monitor without signals about an endpoint without a log."""
    return MonitorResult(
        environment="dev",
        model="m",
        version=1,
        origin="dev/1",
        endpoint="",
        deployment="",
        made=MADE,
    )


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "' onload='alert(3)",
    "&lt;b&gt; &amp; ]]> --> </style></title>",
    "\u202eright to left\u2066",
    "line\nbreak\ttab\x00nul\x1b[31m",
    "half a pair \ud800",
    "الإيرادات",
    "収益 🫀 ünï",
    "{{ cookiecutter.project_slug }}",
    "a" * 3000,
    "no_spaces_" * 20,
    "",
)
"""Names that a page must show as text, and that must not move anything."""


def hostile() -> MonitorResult:
    """A result in which every text that comes from outside is hostile."""
    rng = random.Random(5)
    column: dict[str, object] = {"maximum": 10, "unit": HOSTILE[1]}
    features = [_drifted(rng, name, column, 4) for name in HOSTILE]
    features = [
        feature.model_copy(update={"note": name, "state": state})
        for feature, name, state in zip(features, HOSTILE, ("breached", "fine", "unknown") * 5)
    ]
    labels = _categorical(rng, "labels", HOSTILE[:12], 4)
    shares = tuple(1 / 12 for _ in range(12))
    both = [
        Distribution(rows=100, labels=HOSTILE[:12], shares=each)
        for each in (shares, (*shares[1:], shares[0] + 0.2))
    ]
    labels = labels.model_copy(update={"reference": both[0], "production": both[1]})
    first = HOSTILE[0]
    signals = [
        _signal("data_drift", [*features, labels], note=HOSTILE[1]).model_copy(
            update={"name": first, "reference": HOSTILE[3]}
        ),
        _signal("prediction_drift", [labels.model_copy(update={"name": HOSTILE[4]})]),
        _signal("data_quality", [_quality(rng, name, 4) for name in HOSTILE]),
        _signal("feature_attribution_drift", _attribution(rng, list(HOSTILE), 4)),
        _signal("model_performance", [], state="unknown", note=first),
    ]
    checks = tuple(Check(rule=n, value=n, limit=n, comparison="at most", passed=False, detail=n)
                   for n in HOSTILE[:4])  # fmt: skip
    return MonitorResult(
        environment=first, model=HOSTILE[1], version=1, origin=HOSTILE[2], endpoint=HOSTILE[5],
        deployment=HOSTILE[6], made=MADE, signals=tuple(signals), problems=HOSTILE,
        health=_health(errors=0.02).model_copy(update={"checks": checks, "note": HOSTILE[0]}),
    )  # fmt: skip


def hostile_decisions() -> list[Decision]:
    """Decisions whose texts are hostile."""
    return [
        Decision(
            kind="gate", environment=name, model=name, version=None, time=time,
            checks=(Check(rule=name, value=name, passed=False, detail=name),),
            facts={"in use": name, "data": name, "outcome": {"result": name, "version": name}},
        )
        for name, time in zip(HOSTILE, ("2026-05-18T03:31:02+00:00", "<b>no time</b>") * 7)
    ]  # fmt: skip


def decisions() -> list[Decision]:
    """How version 4 came to prod, and what followed on the drift."""
    return [
        _decision("gate", "dev", 7, "2026-04-12T09:20:11+00:00", _gate(0.9926, 0.98)),
        _decision("promotion", "prod", 4, "2026-04-13T08:01:40+00:00", _gate(0.9926, 0.98)),
        _decision(
            "acceptance-test", "prod", 4, "2026-04-13T08:04:05+00:00",
            [
                Check(rule="share of requests answered", value=1.0, limit=1.0, comparison="at least", passed=True),
                Check(rule="p95 in ms", value=14.2, limit=500.0, comparison="at most", passed=True),
            ],
            deployment="version-4",
        ),
        _decision(
            "rollout", "prod", 4, "2026-04-13T08:06:51+00:00",
            [Check(rule=f"requests answered at {share} %", value="20 of 20", passed=True) for share in (10, 50, 100)],
            deployment="version-4", before="version-3",
        ),
        _decision(
            "retraining", "prod", 4, "2026-05-18T03:16:20+00:00",
            [Check(rule="alarm of data_drift", value="breached", limit="breached", comparison="expected", passed=True)],
            **{"for": "prod", "in use": "dev/7", "data": "azureml:churn:14, the last 90 days"},
        ),
        _decision(
            "gate", "dev", 9, "2026-05-18T03:31:02+00:00",
            [*_gate(0.9412, 0.98)],
        ),
    ]  # fmt: skip


def _columns(kind: str, features: int) -> dict[str, dict[str, object]]:
    file = TEMPLATE / "{{cookiecutter.project_slug}}" / "data" / f"contract__{kind}.yml"
    contract = yaml.safe_load(file.read_text(encoding="utf-8"))
    left_out = (contract["id"], contract["target"])
    columns = {n: c for n, c in contract["columns"].items() if n not in left_out}
    names = list(columns)
    more = {f"{names[n % len(names)]}_{n}": columns[names[n % len(names)]]
            for n in range(len(names), features)}  # fmt: skip
    return {**columns, **more} if features >= len(names) else columns


def _signal(
    kind: str, features: Sequence[FeatureResult], *, state: State | None = None, note: str = "",
    days: int = 7, rows: int = 1203,
) -> SignalResult:  # fmt: skip
    found: State = "breached" if any(f.state == "breached" for f in features) else "fine"
    return SignalResult(
        name=kind, type=kind, state=state or found, note=note,  # type: ignore[arg-type]
        start=MADE - datetime.timedelta(days=days), end=MADE,
        reference="ground truth" if kind == "model_performance" else "held-out rows of dev/7",
        reference_rows=112, production_rows=rows, features=tuple(features),
    )  # fmt: skip


def _history(
    windows: int, values: dict[str, list[float | None]], rows: int = 1200
) -> tuple[Point, ...]:
    return tuple(
        Point(
            start=MADE - (windows - n) * WEEK, end=MADE - (windows - 1 - n) * WEEK,
            rows=rows + 31 * (n % 3), values={name: line[n] for name, line in values.items()},
        )
        for n in range(windows)
    )  # fmt: skip


def _drifted(
    rng: random.Random, name: str, column: dict[str, object], windows: int
) -> FeatureResult:
    moved = MOVED.get(name, rng.uniform(-0.08, 0.08))
    top = float(str(column.get("maximum", 1)))
    mean, deviation = 0.35 * top, 0.09 * top
    bins = 11
    edges = tuple(mean + (n - 4.4) * 0.8 * deviation for n in range(bins + 1))
    now = mean + moved * deviation
    distance = min(0.02 + 0.24 * abs(moved), 0.9)
    line = [_ramp(n, windows, distance, rng) for n in range(windows)]
    breached = line[-1] > 0.2
    metrics = tuple(
        MetricResult(
            name=metric, value=value, threshold=threshold,
            p_value=0.00004 if breached else rng.uniform(0.1, 1), breached=breached and value > threshold,
        )
        for metric, value, threshold in (
            (JSD, line[-1], 0.2), (WASSERSTEIN, round(4 * line[-1], 4), 1.0)
        )
    )  # fmt: skip
    return FeatureResult(
        name=name, kind="numerical", unit=str(column.get("unit", "")),
        state="breached" if any(metric.breached for metric in metrics) else "fine", metrics=metrics,
        reference=_normal(edges, mean, deviation, 112), production=_normal(edges, now, deviation, 1203),
        history=_history(windows, {JSD: list(line), WASSERSTEIN: [round(4 * v, 4) for v in line]}),
    )  # fmt: skip


def _ramp(n: int, windows: int, last: float, rng: random.Random) -> float:
    part = max(0.0, (n - windows + 5) / 4)
    return round(0.04 + rng.uniform(0, 0.02) + (last - 0.04) * part, 4) if n < windows - 1 else last


def _normal(edges: tuple[float, ...], mean: float, deviation: float, rows: int) -> Distribution:
    def below(value: float) -> float:
        return 0.5 * (1 + math.erf((value - mean) / deviation / math.sqrt(2)))

    whole = below(edges[-1]) - below(edges[0])
    shares = tuple((below(b) - below(a)) / whole for a, b in pairwise(edges))
    return Distribution(
        rows=rows, nulls=0, edges=edges, shares=shares, mean=mean,
        minimum=mean - 2.8 * deviation, maximum=mean + 2.9 * deviation,
    )  # fmt: skip


def _categorical(
    rng: random.Random, name: str, labels: tuple[str, ...], windows: int
) -> FeatureResult:
    line: list[float | None] = [round(rng.uniform(0.01, 0.05), 3) for _ in range(windows)]
    line[2] = None
    return FeatureResult(
        name=name, kind="categorical", state="fine",
        metrics=(MetricResult(name=JSD, value=line[-1], threshold=0.2, p_value=0.61),),
        reference=Distribution(rows=442, labels=labels, shares=(0.53, 0.47)),
        production=Distribution(rows=1203, labels=labels, shares=(0.55, 0.45)),
        history=_history(windows, {JSD: line}),
    )  # fmt: skip


def _predictions(rng: random.Random, windows: int) -> FeatureResult:
    line: list[float | None] = [_ramp(n, windows, 0.231, rng) for n in range(windows)]
    labels = ("benign", "malignant")
    return FeatureResult(
        name="prediction", kind="categorical", state="breached",
        metrics=(MetricResult(name=JSD, value=line[-1], threshold=0.2, p_value=0.0002, breached=True),),
        reference=Distribution(rows=112, labels=labels, shares=(0.634, 0.366)),
        production=Distribution(rows=1203, labels=labels, shares=(0.414, 0.586)),
        history=_history(windows, {JSD: line}),
    )  # fmt: skip


def _quality(rng: random.Random, name: str, windows: int, *, clean: bool = False) -> FeatureResult:
    nulls = 0.0 if clean else MISSING.get(name, 0.0)
    outside = 0.0 if clean else (0.031 if name == "mean_radius" else 0.0)
    past: list[float | None] = [round(rng.uniform(0, 0.002), 4) for _ in range(windows - 1)]
    return FeatureResult(
        name=name, kind="numerical", state="breached" if nulls > 0.01 else "fine",
        metrics=(
            MetricResult(name=NULLS, value=nulls, threshold=0.01, reference=0.0, breached=nulls > 0.01),
            MetricResult(name=TYPES, value=0.0, threshold=0.0, reference=0.0),
            MetricResult(name=BOUNDS, value=outside, threshold=0.05, reference=0.0),
        ),
        history=_history(windows, {
            NULLS: [*([0.0] * (windows - 1) if clean else past), nulls],
            TYPES: [0.0] * windows, BOUNDS: [0.0] * (windows - 1) + [outside],
        }),
    )  # fmt: skip


def _attribution(rng: random.Random, names: list[str], windows: int) -> list[FeatureResult]:
    weights = [1 / (n + 1.5) for n in range(len(names))]
    order = sorted(names, key=lambda name: ("worst" not in name, "error" in name, rng.random()))
    now = [weight * rng.uniform(0.6, 1.4) for weight in weights]
    line: list[float | None] = [0.98, 0.985, 0.979, 0.982, 0.961, 0.95, 0.944, 0.937][:windows]
    whole = FeatureResult(
        name="", state="fine", metrics=(
            MetricResult(name=NDCG, value=line[-1], threshold=0.9, comparison="at least"),
        ),
        history=_history(len(line), {NDCG: line}),
    )  # fmt: skip
    return [whole] + [
        FeatureResult(
            name=name, kind="numerical", state="fine", importance=a / sum(now),
            reference_importance=b / sum(weights),
        )
        for name, a, b in zip(order, now, weights)
    ]  # fmt: skip


def _performance(windows: int) -> FeatureResult:
    lines: dict[str, list[float | None]] = {
        "accuracy": [0.951, 0.958, 0.949, 0.953, 0.931, 0.887, 0.842, 0.818],
        "precision": [0.947, 0.955, 0.951, 0.948, 0.936, 0.901, 0.873, 0.858],
        "recall": [0.954, 0.957, 0.943, 0.951, 0.922, 0.879, 0.826, 0.801],
    }
    lines = {name: line[:windows] for name, line in lines.items()}
    reference = {"accuracy": 0.9554, "precision": 0.9586, "recall": 0.9519}
    metrics = tuple(
        MetricResult(
            name=name, value=line[-1], threshold=0.85, reference=reference[name],
            comparison="at least", p_value=0.0007, breached=(line[-1] or 0) < 0.85,
        )
        for name, line in lines.items()
    )  # fmt: skip
    windows = min(windows, 8)
    return FeatureResult(
        name="", state="breached", metrics=metrics, history=_history(windows, lines, rows=380)
    )


def _health(errors: float) -> HealthResult:
    rng = random.Random(3)
    points = []
    for n in range(28):
        requests = int(40 + 25 * math.sin(n * math.pi / 2) + rng.uniform(-8, 8))
        late = n > 20 and errors > 0.01
        points.append(
            HealthPoint(
                start=MADE - (28 - n) * datetime.timedelta(hours=6),
                end=MADE - (27 - n) * datetime.timedelta(hours=6),
                requests=requests, errors=int(requests * errors * (3 if late else 0.3)),
                p50=6 + rng.uniform(0, 1), p95=11 + rng.uniform(0, 3) + 9 * late,
                p99=19 + rng.uniform(0, 6) + 14 * late,
            )
        )  # fmt: skip
    total = sum(point.requests for point in points)
    failed = sum(point.errors for point in points)
    rate = failed / total
    return HealthResult(
        state="breached" if rate > 0.01 else "fine", requests=total, refused=9, errors=failed,
        error_rate=rate, p50=6.4, p95=13.9, p99=27.2, error_rate_limit=0.01, p95_limit=500,
        checks=(
            Check(rule="error rate", value=rate, limit=0.01, comparison="at most", passed=rate <= 0.01),
            Check(rule="p95 latency in ms", value=13.9, limit=500.0, comparison="at most", passed=True),
        ),
        history=tuple(points),
    )  # fmt: skip


def _gate(value: float, floor: float) -> list[Check]:
    passed = value >= floor
    return [
        Check(rule="roc_auc", value=value, limit=floor, comparison="at least", passed=passed,
              detail="95 % interval 0.9871 to 0.9968"),
        Check(rule="roc_auc against the champion, version 3, lower bound of the difference",
              value=0.0012 if passed else -0.0486, limit=-0.01, comparison="at least", passed=passed,
              detail="difference +0.001935, positive is better; 95 % confidence, 112 held-out rows"),
        Check(rule="accuracy", value=0.9554, limit=0.9, comparison="at least", passed=True),
    ]  # fmt: skip


def _decision(
    kind: str, environment: str, version: int, time: str, checks: list[Check], **facts: str
) -> Decision:
    return Decision(
        kind=kind, environment=environment, model="churn-model", version=version,  # type: ignore[arg-type]
        checks=tuple(checks), facts=facts, time=time,
    )  # fmt: skip


def environments() -> list[Overview]:
    """Three environments: prod has drifted, staging is ahead, dev has just refused a model."""
    gate = ["roc_auc", "accuracy"]
    found = decisions()
    seen = [
        _decision("monitor", "prod", 4, MADE.isoformat(), [
            Check(rule="mean_radius: jensen_shannon_distance", value=0.356, limit=0.2, comparison="at most", passed=False),
            Check(rule="worst_area: jensen_shannon_distance", value=0.248, limit=0.2, comparison="at most", passed=False),
            Check(rule="mean_texture: jensen_shannon_distance", value=0.212, limit=0.2, comparison="at most", passed=False),
            Check(rule="27 other features", value="within the thresholds", passed=True),
        ], signal="data_drift"),
        _decision("monitor", "prod", 4, MADE.isoformat(), [
            Check(rule="features beyond a threshold", value=0.0, limit=0.0, comparison="at most", passed=True)
        ], signal="data_quality"),
        _decision("monitor", "prod", 4, MADE.isoformat(), [
            Check(rule="the endpoint is reached", value="yes", passed=True)
        ], signal="endpoint"),
    ]  # fmt: skip
    dev = [_version("dev", n, f"dev/{n}", 0.9955 - 0.0008 * n, rollout="") for n in (7, 8, 9)]
    staging = [_version("staging", 5, "dev/7", 0.9899), _version("staging", 6, "dev/8", 0.9891)]
    prod = [_version("prod", 3, "dev/5", 0.9871), _version("prod", 4, "dev/7", 0.9899)]
    return [
        _overview("dev", gate, dev, 8, None, [d for d in found if d.environment == "dev"]),
        _overview(
            "staging", gate, staging, 6, {"version-5": (5, 0, 0), "version-6": (6, 100, 0)},
            [_decision("promotion", "staging", 6, "2026-05-02T10:12:00+00:00", _gate(0.9891, 0.98))],
        ),
        _overview(
            "prod", gate, prod, 4, {"version-3": (3, 10, 0), "version-4": (4, 90, 0)},
            [*(d for d in found if d.environment == "prod"), *seen],
        ),
    ]  # fmt: skip


def new_environments() -> list[Overview]:
    """What `mlops status` says before the first training."""
    return [
        _overview("dev", ["roc_auc"], [], 0, None, []),
        _overview("prod", ["roc_auc"], [], 0, {}, []),
    ]


def _version(
    environment: str, number: int, origin: str, metric: float, rollout: str = "passed"
) -> dict[str, Any]:
    return {
        "name": "churn-model", "version": number, "origin": origin,
        "created": f"2026-04-{number + 5:02d}T09:20:11+00:00",
        "git_commit": "3f9c2b7d10aa44e0c1b2a3948576f0e1d2c3b4a5", "git_dirty": "false",
        "batch": "" if environment == "dev" else "passed", "rollout": rollout,
        "metrics": {"roc_auc": metric, "accuracy": metric - 0.035},
    }  # fmt: skip


def _overview(
    name: str, gate: list[str], versions: list[dict[str, Any]], champion: int,
    deployments: dict[str, tuple[int, int, int]] | None, found: list[Decision],
) -> Overview:  # fmt: skip
    endpoint = None if deployments is None else {
        "name": f"churn-model-{name}",
        "deployments": [
            {"name": d, "version": v, "traffic": traffic, "mirror": mirror, "created": "2026-05-02T10:12:00+00:00"}
            for d, (v, traffic, mirror) in deployments.items()
        ],
    }  # fmt: skip
    state = {
        "environment": name, "gate": gate, "versions": versions, "endpoint": endpoint,
        "champion": next((v for v in versions if v["version"] == champion), None),
        "last_decision": found[-1].record() if found else None,
    }  # fmt: skip
    return Overview(state, tuple(found))
