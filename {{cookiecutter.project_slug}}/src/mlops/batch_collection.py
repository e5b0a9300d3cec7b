"""Collects what is scored in batches, as and where the requests of a deployment are collected.

So a project that serves in batches only can be monitored, too.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mlops import clock
from mlops.contract import Contract
from mlops.events import DATASTORE, INPUTS, OUTPUTS, folder_of, hour_of, record, rows_in_a_record
from mlops.tables import iterate_table
from mlops.validation import conform
from mlops.versions import contract_of, deployment_name
from mlops.workspaces import Location, ModelVersion, Report, Workspace

if TYPE_CHECKING:
    import pandas as pd

AGENT = "mlops score"
DIGITS = 15  # after the point: what pandas writes at most


def collect_batch(
    workspace: Workspace, version: ModelVersion, source: Path, answers: Path, report: Report
) -> None:
    """Collect a table that a version has scored, and its answers, in files of 100,000 rows.

    Memory does not grow with the rows. A failure is one line of the report: the table is scored.
    """
    try:
        _collect(workspace, version, source, answers)
    except Exception as error:  # whatever it is: the answers are there
        report(f"what was scored could not be collected for the monitor: {error}")


def _collect(workspace: Workspace, version: ModelVersion, source: Path, answers: Path) -> None:
    endpoint, deployment = workspace.environment.endpoint("batch"), deployment_name(version)
    contract, store, time = contract_of(workspace, version), workspace.data(), clock.now()
    size = rows_in_a_record(len(contract.collected))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lines.jsonl"
        for asked, answered in _in_step(
            iterate_table(source, contract), iterate_table(answers, contract)
        ):
            correlations = [str(uuid.uuid4()) for _ in range(0, len(asked), size)]
            for collection, table in (
                (INPUTS, _inputs(asked, contract)),
                (OUTPUTS, _outputs(answered, contract)),
            ):
                if not len(table.columns):  # none may be recorded
                    continue
                with file.open("w", encoding="utf-8", newline="") as lines:
                    for number, correlation in enumerate(correlations):
                        rows = table[number * size : (number + 1) * size].to_json(
                            orient="records", date_format="iso", double_precision=DIGITS
                        )
                        lines.write(
                            record(
                                collection, rows, time=time, source=f"{endpoint}/{deployment}",
                                correlation=correlation, agent=AGENT,
                            )
                        )  # fmt: skip
                path = f"{folder_of(endpoint, deployment, collection)}/{hour_of(time)}"
                place = Location(DATASTORE, f"{path}/{uuid.uuid4()}.jsonl", "uri_file")
                store.upload(file, place, lambda _: None)


def _inputs(table: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """What may be recorded of a table, in the contract's types."""
    import pandas as pd

    return pd.DataFrame(
        {
            name: conform(table[name], column)
            for name, column in contract.collected.items()
            if name in table.columns
        },
        index=table.index,
    )


def _outputs(answers: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """The answers, with the id where it may be recorded."""
    left_out = [] if contract.id in contract.collected else [contract.id]
    return answers.drop(columns=left_out, errors="ignore")


def _in_step(
    ones: Iterator[pd.DataFrame], others: Iterator[pd.DataFrame]
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Pieces of two tables with the same rows, however each of them is cut."""
    one, other = next(ones), next(others)
    while len(one) and len(other):
        rows = min(len(one), len(other))
        yield one[:rows], other[:rows]
        one, other = one[rows:], other[rows:]
        one = one if len(one) else next(ones, one)
        other = other if len(other) else next(others, other)
    if len(one) or len(other):
        raise ValueError("there is not an answer for each row")
