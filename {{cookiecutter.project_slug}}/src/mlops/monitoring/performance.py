"""Model performance: the answers of a window against the labels that came for them since.

Labels are joined by the contract's id. Metrics are scikit-learn's; those of a classification are
macro averages over the classes, as in `mlops.metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops.contract import Column, Contract
from mlops.errors import MlopsError
from mlops.monitor_settings import MonitoringSettings
from mlops.monitoring.collected import Piece
from mlops.monitoring.definition import AT_LEAST, Signal, is_beyond
from mlops.monitoring.results import FeatureResult, MetricResult, Point, state_of
from mlops.monitoring.significance import holm
from mlops.monitoring.windows import Span
from mlops.samples import batches_of
from mlops.workspaces import DataStore, Location

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]
    Hashes = npt.NDArray[np.uint64]

PREDICTION = "prediction"
RESAMPLES = 10_000
CELLS_AT_ONCE = 2_000_000  # of confusion matrices: those of a hundred classes are large


class Labels:
    """The label of each id, in 16 bytes; of an id that is there twice, the last one counts."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._hashes: list[Hashes] = []
        self._values: list[Array] = []
        self.wrong = 0
        self.twice = 0

    def read(self, store: DataStore, location: Location) -> Labels:
        """Read the tables of a location, in the order of their names; itself.

        Raises:
            MlopsError: one is no table, or has no id or no target.
        """
        import numpy as np
        import pyarrow as pa

        for file in store.files(location):
            if not file.name.endswith((".parquet", ".csv")):
                continue
            with store.open(location.file(file.name)) as stream:
                try:
                    for batch in batches_of(file.name, stream):
                        self._add(file.name, batch)
                except pa.ArrowException as error:
                    raise MlopsError(f"{file.name} of {location} is no table: {error}") from None
        hashes = np.concatenate([np.empty(0, "uint64"), *self._hashes])
        values = np.concatenate([np.empty(0), *self._values])
        # The last of each id comes first: then `unique` keeps it.
        self._sorted, places = np.unique(hashes[::-1], return_index=True)
        self._found = values[::-1][places]
        self.twice = len(hashes) - len(self._sorted)
        self._hashes, self._values = [], []
        return self

    def __len__(self) -> int:
        return len(self._sorted)

    def of(self, ids: pa.Array) -> Array:
        """The label for each id: a number, or the code of a class; NaN where there is none yet."""
        import numpy as np

        found = np.full(len(ids), np.nan)
        if not len(self._sorted):
            return found
        hashes, there = hashes_of(ids)
        places = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        known = there & (self._sorted[places] == hashes)
        found[known] = self._found[places[known]]
        return found

    def _add(self, name: str, batch: pa.RecordBatch) -> None:
        contract = self._contract
        for column in (contract.id, contract.target):
            if column not in batch.schema.names:
                raise MlopsError(f"the labels in {name} have no column `{column}`")
        hashes, there = hashes_of(batch.column(str(contract.id)))
        values = codes_of(batch.column(contract.target), contract)
        good = there & ~_nan(values)
        self.wrong += int(len(values) - good.sum())
        self._hashes.append(hashes[good])
        self._values.append(values[good])


class Tally:
    """What the metrics of a window need, of any number of answers."""

    def __init__(self, contract: Contract) -> None:
        import numpy as np

        classes = len(contract.classes)
        self.answers = 0
        self.nameless = 0
        self.labelled = 0
        self.confusion = np.zeros((classes, classes))
        self.errors = np.zeros(4)  # sums of |e|, e^2, e^2, e^4
        self._contract = contract

    def add(self, piece: Piece, labels: Labels) -> None:
        """Look at n answers."""
        import numpy as np

        self.answers += piece.rows
        ids = piece.columns.get(str(self._contract.id))
        given = piece.columns.get(PREDICTION)
        if ids is None or given is None:
            return
        self.nameless += ids.null_count
        truth, answers = labels.of(ids), codes_of(given, self._contract)
        both = ~(np.isnan(truth) | np.isnan(answers))
        truth, answers = truth[both], answers[both]
        self.labelled += len(truth)
        if self._contract.classes:
            size = len(self.confusion)
            places = truth.astype("int64") * size + answers.astype("int64")
            self.confusion += np.bincount(places, minlength=size * size).reshape(size, size)
        else:
            error = np.abs(truth - answers)
            self.errors += [error.sum(), (error**2).sum(), (error**2).sum(), (error**4).sum()]

    def metrics(self) -> dict[str, float]:
        """The metrics of the problem type; empty without a label."""
        if not self.labelled:
            return {}
        if self._contract.classes:
            return {name: float(v[0]) for name, v in scores(self.confusion[None]).items()}
        mae, mse = self.errors[:2] / self.labelled
        return {"mae": float(mae), "mse": float(mse), "rmse": math.sqrt(mse)}

    def chance(self, metric: str, threshold: float) -> float:
        """The chance of such answers where the metric is at its threshold, not beyond it.

        Of a score, by a bootstrap of the confusion matrix; of an error, by the normal distribution
        of a mean.
        """
        import numpy as np

        if self._contract.classes:
            shares = self.confusion.ravel() / self.confusion.sum()
            draw, at_once = np.random.default_rng(0), max(1, CELLS_AT_ONCE // shares.size)
            fine = 0
            for first in range(0, RESAMPLES, at_once):
                drawn = draw.multinomial(self.labelled, shares, min(at_once, RESAMPLES - first))
                resampled = scores(drawn.reshape(-1, *self.confusion.shape))[metric]
                fine += int((resampled >= threshold).sum())
            return (1 + fine) / (1 + RESAMPLES)
        from scipy.stats import norm

        if metric == "rmse":
            metric, threshold = "mse", threshold**2
        first, second = self.errors[:2] if metric == "mae" else self.errors[2:]
        mean = first / self.labelled
        deviation = math.sqrt(max(second / self.labelled - mean**2, 0.0) / self.labelled)
        if not deviation:
            return float(mean <= threshold)
        return float(norm.sf((mean - threshold) / deviation))


def scores(confusion: Any) -> dict[str, Array]:
    """Accuracy and the macro averages of precision, recall and F1 of b confusion matrices.

    Args:
        confusion: b by k by k counts, rows by the true class.
    """
    import numpy as np

    hits = np.diagonal(confusion, axis1=1, axis2=2)
    truths, claims = confusion.sum(axis=2), confusion.sum(axis=1)
    present = (truths + claims) > 0

    def macro(part: Any, whole: Any) -> Array:
        ratios = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
        mean: Array = (ratios * present).sum(axis=1) / present.sum(axis=1)
        return mean

    return {
        "accuracy": hits.sum(axis=1) / confusion.sum(axis=(1, 2)),
        "precision": macro(hits, claims),
        "recall": macro(hits, truths),
        "f1_score": macro(2.0 * hits, truths + claims),
    }


class Performance(NamedTuple):
    """The result of the signal, and a line on the labels."""

    feature: FeatureResult
    note: str


def performance(
    contract: Contract,
    history: Sequence[tuple[Span, Tally]],
    labels: Labels,
    signal: Signal,
    settings: MonitoringSettings,
    reference: Mapping[str, float] | None = None,
) -> Performance:
    """The metrics of the present window, which is the last, and of those before it.

    `reference` are the metrics of the held-out rows, as `mlops.metrics` calls them.
    """
    tally = history[-1][1]
    note = _note(contract, tally, labels, settings)
    thresholds = signal.thresholds(contract.problem_type)
    enough = tally.labelled >= settings.minimum_rows
    values = tally.metrics() if enough else {}
    tested = [metric for metric in thresholds if enough]
    chances = dict(zip(tested, holm([tally.chance(m, thresholds[m]) for m in tested])))
    metrics = tuple(
        MetricResult(
            name=name, value=value, threshold=thresholds.get(name), p_value=chances.get(name),
            reference=(reference or {}).get(name.removesuffix("_score")),
            comparison="at least" if name in AT_LEAST else "at most",
            breached=name in chances and is_beyond(name, value, thresholds[name])
            and chances[name] < settings.significance,
        )
        for name, value in values.items()
    )  # fmt: skip
    points = tuple(
        Point(
            start=span.start, end=span.end, rows=then.labelled,
            values={**then.metrics()} if then.labelled >= settings.minimum_rows else {},
        )
        for span, then in history
    )  # fmt: skip
    breached = any(metric.breached for metric in metrics)
    feature = FeatureResult(
        name="", state=state_of(breached=breached, known=enough), note="" if enough else note,
        metrics=metrics, history=points,
    )  # fmt: skip
    return Performance(feature, note)


def output_columns(contract: Contract) -> dict[str, Column]:
    """The columns of the answers that are compared: the prediction, and what it is made of.

    Of two classes, the probability of the second says all.
    """
    if not contract.classes:
        return {PREDICTION: Column(type="number", unit=contract.columns[contract.target].unit)}
    probable = contract.classes[1:] if len(contract.classes) == 2 else contract.classes
    probabilities = {f"probability_{name}": Column(type="number") for name in probable}
    return {PREDICTION: Column(type="category"), **probabilities}


def hashes_of(ids: pa.Array) -> tuple[Hashes, Any]:
    """A 64-bit hash of each id, the same for 7, 7.0 and the text 7; and which ids are there."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(ids.type):
        whole = pc.cast(ids, pa.int64(), safe=False)
        if pc.all(pc.equal(pc.cast(whole, pa.float64()), ids)).as_py() is not False:
            ids = whole
    there = ids.is_valid().to_numpy(zero_copy_only=False)
    texts = pc.fill_null(pc.cast(ids, pa.string()), "").to_numpy(zero_copy_only=False)
    hashes: Hashes = pd.util.hash_array(texts, categorize=False)
    return hashes, there


def codes_of(column: pa.Array, contract: Contract) -> Array:
    """Numbers as they are, and classes as their place in the contract; NaN for what is neither."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    if not contract.classes:
        numbers: Array = pd.to_numeric(column.to_pandas(), errors="coerce").to_numpy("float64")
        return numbers
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    places = pc.index_in(pc.cast(column, pa.string()), pa.array(contract.classes))
    codes: Array = places.to_numpy(zero_copy_only=False).astype("float64")
    return codes


def _nan(values: Array) -> Any:
    import numpy as np

    return np.isnan(values)


def _note(contract: Contract, tally: Tally, labels: Labels, settings: MonitoringSettings) -> str:
    if not tally.answers:
        return "nothing was collected in this window"
    have = f"{tally.labelled} of {tally.answers} answers have a label"
    if tally.labelled < settings.minimum_rows:
        have += f" so far, {settings.minimum_rows} are needed"
    if not len(labels):
        have += "; no label has come yet"
    elif not tally.labelled:
        have += f"; requests must carry the id `{contract.id}` for them to be joined"
    if 0 < tally.nameless < tally.answers:
        have += f"; {tally.nameless} requests carried no `{contract.id}`, and never can be joined"
    if labels.twice:
        have += f"; {labels.twice} labels came again, and the last one counts"
    if labels.wrong:
        have += f"; {labels.wrong} labels are null, or no value of `{contract.target}`"
    return have
