"""Scoring requests: the contract as a pydantic model, and a request as a table.

pandera, which checks tables, takes tens of milliseconds for a frame of one row; this takes
well under one, for the same rules.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Optional,
    Union,
)

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict  # pydantic needs these before Python 3.12

from mlops.contract import Column, Contract
from mlops.validation import instants

if TYPE_CHECKING:
    import pandas as pd

INPUT = "input_data"
MAXIMUM_ROWS = 10_000
MAXIMUM_BYTES = 10 * 1024 * 1024
TOO_LARGE = f"the request is larger than {MAXIMUM_BYTES >> 20} MiB; send fewer rows"
ERRORS_SHOWN = 10
TEST_HEADER = "x-mlops-test"  # of a request that a test of ours sends: it is not recorded


class BadRequest(Exception):
    """A request that cannot be scored: the status, and a message that names row and field."""

    def __init__(
        self, status: int, message: str, details: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.answer = {"error": {"message": message, "details": details or []}}


class RequestReader:
    """Reads requests that obey a contract: `{"input_data": [{"<feature>": value, ...}, ...]}`.

    Every feature must be there, null only where it is nullable; nothing else may be, apart
    from the id and the timestamp, which are optional.
    """

    def __init__(self, contract: Contract) -> None:
        self._features = list(contract.features)
        self._dtypes = {name: _dtype(column) for name, column in contract.features.items()}
        self._timestamps = [
            name
            for name, column in contract.columns.items()
            if column.type == "timestamp" and name != contract.target
        ]
        self._all_numbers = set(self._dtypes.values()) == {"float64"}
        fields: dict[str, Any] = {
            name: _annotation(column) for name, column in contract.features.items()
        }
        for name in (contract.id, contract.timestamp):
            if name:
                fields[name] = NotRequired[Optional[_annotation(contract.columns[name])]]
        row = TypedDict("row", fields)  # type: ignore[misc]
        strict = ConfigDict(extra="forbid", strict=True)
        row.__pydantic_config__ = strict  # type: ignore[attr-defined]
        rows = Annotated[list[row], Field(min_length=1, max_length=MAXIMUM_ROWS)]
        request = TypedDict("request", {INPUT: rows})  # type: ignore[misc]
        request.__pydantic_config__ = strict  # type: ignore[attr-defined]
        self._adapter: TypeAdapter[Any] = TypeAdapter(request)

    def read(self, body: bytes) -> pd.DataFrame:
        """The features of a request as a table, in the contract's order and types.

        Raises:
            BadRequest: naming each row and field that is wrong.
        """
        return self.table(self.rows(body))

    def rows(self, body: bytes) -> list[dict[str, Any]]:
        """The rows of a request as they were given, with the id and the timestamp if these were.

        Raises:
            BadRequest: naming each row and field that is wrong, but for timestamps.
        """
        if len(body) > MAXIMUM_BYTES:
            raise BadRequest(413, TOO_LARGE)
        try:
            rows: list[dict[str, Any]] = self._adapter.validate_json(body)[INPUT]
        except ValidationError as error:
            raise _bad_request(error) from None
        return rows

    def table(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        """The features of rows as a table, in the contract's order and types.

        Raises:
            BadRequest: naming each row and field whose timestamp is wrong.
        """
        import numpy as np
        import pandas as pd

        timestamps = _read_timestamps(rows, self._timestamps)
        if self._all_numbers:
            values = np.array([[row[name] for name in self._features] for row in rows], "float64")
            return pd.DataFrame(values, columns=self._features)
        return pd.DataFrame(
            {
                name: timestamps[name]
                if name in timestamps
                else _series([row[name] for row in rows], kind)
                for name, kind in self._dtypes.items()
            }
        )


def _annotation(column: Column) -> Any:
    kind: Any = {
        "number": float,
        "integer": int,
        "category": str,
        "boolean": bool,
        "timestamp": str,  # read column by column, in `_read_timestamps`
    }[column.type]
    if column.values is not None:
        kind = Annotated[Literal[column.values], BeforeValidator(_no_boolean)]
    elif column.type == "category":
        kind = Union[str, int]
    limits: dict[str, Any] = {"ge": column.minimum, "le": column.maximum}
    if column.type == "number":
        limits["allow_inf_nan"] = False
    if column.type == "integer":
        low, high = -(2**63), 2**63 - 1
        limits["ge"] = low if column.minimum is None else max(column.minimum, low)
        limits["le"] = high if column.maximum is None else min(column.maximum, high)
    given = {name: limit for name, limit in limits.items() if limit is not None}
    if given and column.values is None:
        kind = Annotated[kind, Field(**given)]
    return Optional[kind] if column.nullable else kind


def _dtype(column: Column) -> str:
    if column.type == "number":
        return "float64"
    if column.type == "integer":
        return "float64" if column.nullable else "int64"
    if column.type == "timestamp":
        return "timestamp"
    if column.type == "boolean":
        return "object" if column.nullable else "bool"
    return "text"


def _series(values: list[Any], kind: str) -> Any:
    import numpy as np
    import pandas as pd

    if kind == "text":
        return pd.Series(
            [value if value is None else str(value) for value in values], dtype="object"
        )
    return np.array(values, dtype=kind)


def _read_timestamps(rows: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """The columns of timestamps, read as tables are."""
    import pandas as pd

    read: dict[str, Any] = {}
    details = []
    for name in names:
        texts = [row.get(name) for row in rows]
        read[name] = instants(pd.Series(texts, dtype="object"))
        for number, (text, null) in enumerate(zip(texts, read[name].isna())):
            if null and text is not None:
                what = f"row {number}: `{name}`: must be a timestamp in ISO 8601, not {text!r}"
                details.append({"row": number, "field": name, "problem": what})
    if details:
        raise _bad_fields(details)
    return read


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):  # Python holds true and 1 for equal
        raise ValueError("must not be true or false")
    return value


def _bad_request(error: ValidationError) -> BadRequest:
    return _bad_fields([_detail(problem) for problem in error.errors(include_url=False)])


def _bad_fields(details: list[dict[str, Any]]) -> BadRequest:
    shown = details[:ERRORS_SHOWN]
    message = "; ".join(detail["problem"] for detail in shown)
    if len(details) > ERRORS_SHOWN:
        message += f"; and {len(details) - ERRORS_SHOWN} more"
    return BadRequest(400, message, shown)


def _detail(problem: Any) -> dict[str, Any]:
    where, kind = problem["loc"], problem["type"]
    if kind == "json_invalid":
        return {"problem": f"the request is not JSON: {problem['ctx']['error']}"}
    shape = f'write {{"{INPUT}": [{{"<feature>": value, ...}}, ...]}}'
    if not where or where[0] != INPUT:
        what = f"unknown key `{where[0]}`" if where else "the request must be a JSON object"
        return {"problem": f"{what}; {shape}"}
    if len(where) < 3:
        what = "`input_data` is missing" if kind == "missing" else f"`input_data`: {problem['msg']}"
        return {"problem": f"{what}; {shape}"}
    row, field = where[1], str(where[2])
    if kind == "missing":
        what = f"`{field}` is missing"
    elif kind == "extra_forbidden":
        what = f"`{field}` is not a feature of the model"
    else:
        said = problem["msg"].removeprefix("Value error, ")
        what = f"`{field}`: {said}, not {problem['input']!r}"
    return {"row": row, "field": field, "problem": f"row {row}: {what}"}
