"""The prepare step: check the table against its contract and hold rows out for evaluation."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlops.contract import Contract, load_contract
from mlops.digests import digest_path
from mlops.errors import Refused
from mlops.files import write_json
from mlops.tables import read_table
from mlops.validation import validate_table


def prepare(data: Path, contract: Path, prepared: Path, holdout_fraction: float) -> None:
    """Write `train.parquet`, `held_out.parquet` and `summary.json` into the folder `prepared`.

    Args:
        data: the table, Parquet or CSV.
        contract: the data contract; a table that breaks it is refused.
        prepared: the output folder.
        holdout_fraction: the share of rows, between 0 and 1, that no model is trained on.
    """
    rules = load_contract(contract)
    table = validate_table(read_table(data, rules), rules)
    held_out = is_held_out(table, rules, holdout_fraction)
    train_rows, held_out_rows = table[~held_out], table[held_out]
    _require_rows(train_rows, held_out_rows, rules)
    train_rows.to_parquet(prepared / "train.parquet", index=False)
    held_out_rows.to_parquet(prepared / "held_out.parquet", index=False)
    write_json(
        prepared / "summary.json",
        {
            "data_digest": digest_path(data),
            "rows": len(table),
            "train_rows": len(train_rows),
            "held_out_rows": len(held_out_rows),
            # Models are compared only where they held the same rows out.
            "split": {"by": _key(rules, table), "fraction": holdout_fraction},
        },
    )
    print(f"{len(table)} rows obey the contract; {len(held_out_rows)} of them are held out")


def is_held_out(table: pd.DataFrame, contract: Contract, fraction: float) -> pd.Series:
    """Which rows are held out: those whose hash falls into the fraction.

    By the id, or without one by the whole row, and never by position: a row stays on its side
    when rows are added, removed or reordered. So no model is evaluated on a row that an earlier
    one with the same split was trained on.
    """
    hashes = pd.util.hash_pandas_object(table[_key(contract, table)], index=False)
    return hashes / 2**64 < fraction


def _key(contract: Contract, table: pd.DataFrame) -> list[str]:
    if contract.id is not None and contract.id in table.columns:
        return [contract.id]
    return list(table.columns)


def _require_rows(train: pd.DataFrame, held_out: pd.DataFrame, contract: Contract) -> None:
    for name, rows in (("to train on", train), ("to hold out", held_out)):
        found = set(rows[contract.target].astype(str))
        missing = [value for value in contract.classes if value not in found]
        if not len(rows) or missing:
            what = f" of {contract.target} {', '.join(missing)}" if missing else ""
            raise Refused(f"there are no rows{what} {name}: the table has too few")
