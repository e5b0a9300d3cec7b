"""All signals of a monitor, computed from collected data and the files of the version in use."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops import events
from mlops.contract import Column, Contract
from mlops.errors import MlopsError, redact
from mlops.monitoring.attribution import ROWS, attribution_drift, attributions
from mlops.monitoring.collected import Piece, Reading
from mlops.monitoring.columns import Kind, TableProfile
from mlops.monitoring.definition import Monitor, Signal, TopFeatures
from mlops.monitoring.drift import History, drifted
from mlops.monitoring.performance import (
    PREDICTION,
    Labels,
    Tally,
    output_columns,
    performance,
)
from mlops.monitoring.quality import quality
from mlops.monitoring.results import FeatureResult, SignalResult, state_of
from mlops.monitoring.windows import RowSample, Span, parts_of, profile_spans, spans_of
from mlops.project import Project
from mlops.scoring.requests import RequestReader
from mlops.sources import GROUND_TRUTH, load_sources
from mlops.step import step_module
from mlops.versions import contract_of
from mlops.workspaces import ModelVersion, Report, Workspace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

INPUT_SIGNALS = ("data_drift", "data_quality")
BATCH = 50_000


class Silent(MlopsError):
    """A signal says nothing: why."""


class Computation:
    """The signals of a monitor at one time: each collection is read once for all of them."""

    def __init__(
        self,
        project: Project,
        workspace: Workspace,
        version: ModelVersion,
        monitor: Monitor,
        where: tuple[str, str],
        at: datetime.datetime,
        report: Report,
    ) -> None:
        self._project, self._workspace, self._version = project, workspace, version
        self._monitor, self._where, self._at, self._report = monitor, where, at, report
        self._settings = workspace.environment.settings.monitoring
        self._contract: Contract = contract_of(workspace, version)
        self._files = workspace.files(version)
        self._readings: list[Reading] = []
        self._answers_seen: dict[str, int] = {}
        self._kinds = {
            name: kind
            for signal in monitor.signals.values()
            for name, kind in signal.feature_type_override.items()
        }
        self._spans = {
            name: spans_of(monitor.window(signal), at, self._settings.windows)
            for name, signal in monitor.signals.items()
        }

    def signals(self) -> Iterator[SignalResult]:
        """The result of each signal; one that cannot be computed says why and stops no other."""
        compute: dict[str, Callable[[str, Signal], tuple[tuple[FeatureResult, ...], str]]] = {
            "data_drift": self._data_drift,
            "data_quality": self._data_quality,
            "prediction_drift": self._prediction_drift,
            "feature_attribution_drift": self._attribution_drift,
            "model_performance": self._performance,
        }
        _ = self._inputs, self._outputs  # Where the data cannot be read, no signal can be computed.
        for name, signal in self._monitor.signals.items():
            try:
                features, note = compute[signal.type](name, signal)
            except Exception as error:  # whatever it is: the others have something to say
                kind = "" if isinstance(error, MlopsError) else f"{type(error).__name__}: "
                features, note = (), redact(f"{kind}{error}")
            yield self._result(name, signal, features, note)

    def problems(self) -> tuple[str, ...]:
        """What was wrong with the collected data."""
        lines = [line for reading in self._readings for line in reading.problems()]
        left_out = [f"`{n}`, {kind}" for n, kind in self._monitor.left_out.items()]
        if left_out:
            lines.append(f"only Azure ML computes these signals: {'; '.join(left_out)}")
        data = [part for signal in self._monitor.signals.values() for part in signal.production]
        if any(part.pre_processing_component for part in data):
            lines.append(
                "only Azure ML runs a `pre_processing_component`: here rows are as collected"
            )
        return tuple(dict.fromkeys(lines))

    @property
    def collected(self) -> int:
        """How many rows of requests were collected in all windows together."""
        return sum(profile.rows for profile in self._inputs.values())

    # --- the signals --------------------------------------------------------------------------

    def _data_drift(self, name: str, signal: Signal) -> tuple[tuple[FeatureResult, ...], str]:
        columns = self._features(signal)
        history = self._history(name, self._inputs)
        reference = self._reference(name, signal, self._inputs, self._held_out)
        return drifted(columns, reference, history, signal, self._settings), ""

    def _data_quality(self, name: str, signal: Signal) -> tuple[tuple[FeatureResult, ...], str]:
        columns = self._features(signal)
        history = self._history(name, self._inputs)
        reference = self._reference(name, signal, self._inputs, self._held_out)
        return quality(columns, reference, history, signal, self._settings), ""

    def _prediction_drift(self, name: str, signal: Signal) -> tuple[tuple[FeatureResult, ...], str]:
        history = self._history(name, self._outputs)
        reference = self._reference(name, signal, self._outputs, self._answers)
        columns = output_columns(self._contract)
        return drifted(columns, reference, history, signal, self._settings), ""

    def _attribution_drift(
        self, name: str, signal: Signal
    ) -> tuple[tuple[FeatureResult, ...], str]:
        contract, least = self._contract, self._settings.minimum_rows
        if len(contract.features) < 2:
            raise Silent("a model of one feature leans on it alone")
        hidden = [feature for feature, column in contract.features.items() if not column.collect]
        if hidden:
            raise Silent(f"the model needs {', '.join(hidden)}, which is not collected")
        rows = self._sampled_rows()
        if len(rows) < least:
            raise Silent(f"{len(rows)} whole rows in this window, {least} are needed")
        table = RequestReader(contract).table(rows)
        now = attributions(self._predict, table, contract)
        return attribution_drift(contract, self._importance, now, signal, self._settings), ""

    def _performance(self, name: str, signal: Signal) -> tuple[tuple[FeatureResult, ...], str]:
        contract, environment = self._contract, self._workspace.environment
        if contract.id is None:
            raise Silent(
                "data/contract.yml names no `id` by which labels could be joined to answers"
            )
        if not contract.columns[contract.id].collect:
            raise Silent(f"`{contract.id}` is not collected (data/contract.yml: `collect: false`)")
        sources = load_sources(self._project)
        if sources is None or GROUND_TRUTH not in sources.assets:
            raise Silent(
                f"data/sources.yml has no asset `{GROUND_TRUTH}`; add it, and the labels come from "
                "there: docs/monitoring.md"
            )
        store = self._workspace.data()
        location = sources.location(GROUND_TRUTH, environment.name)
        labels = Labels(contract).read(store, location)
        spans = self._spans[name]
        tallies = {span: Tally(contract) for span in spans}
        columns = {contract.id: contract.columns[contract.id], **self._prediction}
        reading = self._reading(events.OUTPUTS, columns, frozenset({contract.id}))
        for piece in reading.between(spans[0].start, spans[-1].end):
            for span, part in parts_of(piece, spans, spans[-1:]):
                tallies[span].add(part, labels)
        self._answers_seen[name] = tallies[spans[-1]].answers
        found = performance(
            contract, list(tallies.items()), labels, signal, self._settings, self._version.metrics
        )
        return (found.feature,), found.note

    # --- what they need -----------------------------------------------------------------------

    @cached_property
    def _inputs(self) -> dict[Span, TableProfile]:
        features = {n: c for n, c in self._contract.features.items() if c.collect}
        self._sample: RowSample | None = None
        for name, signal in self._monitor.signals.items():
            if signal.type == "feature_attribution_drift":
                self._sample = RowSample(self._spans[name][-1], ROWS)
        reading = self._reading(events.INPUTS, features)
        return profile_spans(
            reading, self._needed(INPUT_SIGNALS), self._present, features, self._sample, self._kinds
        )

    @cached_property
    def _outputs(self) -> dict[Span, TableProfile]:
        columns = output_columns(self._contract)
        reading = self._reading(events.OUTPUTS, columns)
        return profile_spans(
            reading, self._needed(("prediction_drift",)), self._present, columns, None
        )

    @property
    def _prediction(self) -> dict[str, Column]:
        return {PREDICTION: output_columns(self._contract)[PREDICTION]}

    @cached_property
    def _held_out(self) -> TableProfile:
        return _profile_of(self._held_out_file, self._contract.features, self._kinds)

    @property
    def _held_out_file(self) -> Path:
        return self._files / "held_out" / "held_out.parquet"

    @cached_property
    def _answers(self) -> TableProfile:
        path = self._files / "evaluation" / "predictions.parquet"
        return _profile_of(path, output_columns(self._contract))

    @cached_property
    def _importance(self) -> npt.NDArray[np.float64]:
        import numpy as np
        import pyarrow as pa

        names = list(self._contract.features)
        sample = RowSample(Span(self._at, self._at), ROWS)
        for batch in _batches_of(self._held_out_file, names):
            columns = {name: batch.column(name) for name in names}
            sample.add(Piece(np.empty(batch.num_rows, "datetime64[us]"), columns))
        features = pa.concat_tables(sample.tables()).to_pandas()
        return attributions(self._predict, features[names], self._contract)

    @cached_property
    def _predict(self) -> Any:
        score = step_module("score")
        model = score.load(self._files / "model")
        return lambda table: score.predict(model, table)

    def _sampled_rows(self) -> list[dict[str, Any]]:
        """The sample of the window, of rows with all that the model must have."""
        features = self._contract.features
        needed = [name for name, column in features.items() if not column.nullable]
        tables = self._sample.tables() if self._sample else []
        rows = [row for table in tables for row in table.to_pylist()]
        return [
            {name: row.get(name) for name in features}
            for row in rows
            if all(row.get(name) is not None for name in needed)
        ]

    def _features(self, signal: Signal) -> dict[str, Column]:
        features = self._contract.features
        if isinstance(signal.features, TopFeatures):
            order = self._importance.mean(axis=0).argsort()[::-1]
            top = order[: signal.features.top_n_feature_importance]
            names = [list(features)[place] for place in top]
        else:
            all_of_them = signal.features == "all_features"
            names = list(features) if all_of_them else list(signal.features)
        return {name: features[name] for name in names if name in features}

    def _history(self, name: str, profiles: Mapping[Span, TableProfile]) -> History:
        return [(span, profiles[span]) for span in self._spans[name]]

    def _reference(
        self, name: str, signal: Signal, profiles: Mapping[Span, TableProfile],
        held_out: TableProfile,
    ) -> TableProfile:  # fmt: skip
        span = self._reference_span(signal)
        return profiles[span] if span else held_out

    def _reference_span(self, signal: Signal) -> Span | None:
        window = self._monitor.reference_window(signal)
        return spans_of(window, self._at, 1)[0] if window else None

    @property
    def _present(self) -> set[Span]:
        return {spans[-1] for spans in self._spans.values()}

    def _needed(self, types: tuple[str, ...]) -> set[Span]:
        needed: set[Span] = set()
        for name, signal in self._monitor.signals.items():
            if signal.type in types:
                needed |= {*self._spans[name]}
                if span := self._reference_span(signal):
                    needed.add(span)
        return needed

    def _reading(
        self, collection: str, columns: dict[str, Column], whole: frozenset[str] = frozenset()
    ) -> Reading:
        self._report(f"reading {collection} ...")
        reading = Reading(self._workspace.data(), *self._where, collection, columns, whole)
        self._readings.append(reading)
        return reading

    def _result(
        self, name: str, signal: Signal, features: tuple[FeatureResult, ...], note: str
    ) -> SignalResult:
        span = self._spans[name][-1]
        profiles = self._inputs if signal.type in INPUT_SIGNALS else self._outputs
        reference = self._reference_span(signal)
        breached = any(feature.state == "breached" for feature in features)
        known = any(feature.state == "fine" for feature in features)
        if not (breached or known or note) and features:
            note = features[0].note
        held_out = self._held_out.rows
        return SignalResult(
            name=name, type=signal.type, state=state_of(breached=breached, known=known), note=note,
            alert=signal.alert_enabled, start=span.start, end=span.end,
            reference=_said(reference, self._version),
            reference_rows=profiles[reference].rows if reference in profiles else held_out,
            production_rows=self._answers_seen.get(name, profiles[span].rows if span in profiles else 0),
            features=features,
        )  # fmt: skip


def _profile_of(
    path: Path, columns: Mapping[str, Column], kinds: Mapping[str, Kind] | None = None
) -> TableProfile:
    """The profile of a Parquet file's columns, read in batches."""
    profile = TableProfile(dict(columns), kinds)
    for batch in _batches_of(path, list(profile.columns)):
        profile.add(dict(zip(batch.schema.names, batch.columns)), batch.num_rows)
    return profile.close()


def _batches_of(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Those of the columns that a Parquet file has, in batches."""
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    there = [name for name in columns if name in file.schema_arrow.names]
    return file.iter_batches(batch_size=BATCH, columns=there)  # type: ignore[no-any-return]


def _said(reference: Span | None, version: ModelVersion) -> str:
    if reference is None:
        return f"the rows held out when {version.origin} was trained"
    return f"production from {reference.start:%Y-%m-%d %H:%M} to {reference.end:%Y-%m-%d %H:%M} UTC"
