"""What collected data looks like and where it lies, as Azure's data collector writes it.

Lines of JSON, each a CloudEvent with the rows of a request, or of some, as its data:
https://learn.microsoft.com/azure/machine-learning/how-to-collect-production-data
"""

from __future__ import annotations

import datetime
import json
import uuid

DATASTORE = "workspaceblobstore"
FOLDER = "modelDataCollector"
INPUTS, OUTPUTS = "model_inputs", "model_outputs"
REQUESTS = "requests"  # a local workspace's own: Azure Monitor has it of the requests in Azure
VALUES_IN_A_RECORD = 20_000  # half a MiB: a record of 4 MiB Azure would write elsewhere


def folder_of(endpoint: str, deployment: str, collection: str) -> str:
    """The path of a collection in the datastore."""
    return f"{FOLDER}/{endpoint}/{deployment}/{collection}"


def hour_of(time: datetime.datetime) -> str:
    """The path of an hour below that of a collection; the time has a zone."""
    return time.astimezone(datetime.timezone.utc).strftime("%Y/%m/%d/%H")


def hour_from(path: str) -> datetime.datetime | None:
    """The hour that a file's path below that of a collection says, in UTC; None for another path."""
    *hours, _ = path.split("/")
    try:
        year, month, day, hour = (int(part) for part in hours)
        return datetime.datetime(year, month, day, hour, tzinfo=datetime.timezone.utc)
    except ValueError:
        return None


def rows_in_a_record(columns: int) -> int:
    """How many rows of so many columns make one record at most."""
    return max(1, VALUES_IN_A_RECORD // max(1, columns))


def record(
    collection: str, rows: str, *, time: datetime.datetime, source: str, correlation: str,
    agent: str, kind: str = "pandas.core.frame.DataFrame", version: str = "default",
) -> str:  # fmt: skip
    """One line, with its end.

    Args:
        collection: its name.
        rows: a JSON array with an object for each row, without line breaks.
        time: of the request, with a zone.
        source: endpoint and deployment.
        correlation: the same for inputs and outputs that belong together, row for row.
        agent: what collected it.
        kind: the type that the rows were given in.
        version: that of the model, as the collector was told.
    """
    utc = time.astimezone(datetime.timezone.utc)
    before = {
        "specversion": "1.0", "id": str(uuid.uuid4()), "source": source,
        "type": f"azureml.inference.{collection}", "datacontenttype": "application/json",
        "time": utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip
    size = len(rows.encode("utf-8"))
    after = {
        "correlationid": correlation, "xrequestid": correlation, "modelversion": version,
        "collectdatatype": kind, "agent": agent, "contentrange": f"bytes 0-{size - 1}/{size}",
    }  # fmt: skip
    # The rows are text already, and many: they are not read and written again.
    return f'{_compact(before)[:-1]},"data":{rows},{_compact(after)[1:]}\n'


def _compact(value: dict[str, str]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
