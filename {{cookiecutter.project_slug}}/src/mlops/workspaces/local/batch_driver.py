"""What Azure's batch driver does: `init()` once, then `run(mini_batch)` for each file.

`python batch_driver.py SCRIPT FOLDER_OF_PIECES OUTPUT`. Run by its path, in a process of its own.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any


def main(script: Path, pieces: Path, output: Path) -> None:
    """Score each piece in the order of its name and append the answers to the output."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    module = _load(script)
    module.init()
    writer: Any = None
    try:
        for piece in sorted(pieces.iterdir()):
            answers = pa.Table.from_pandas(module.run([str(piece)]), preserve_index=False)
            if writer is None:
                kind = parquet.ParquetWriter if output.suffix == ".parquet" else csv.CSVWriter
                writer = kind(output, answers.schema)
            writer.write_table(
                answers.cast(writer.schema) if hasattr(writer, "schema") else answers
            )
    finally:
        if writer is not None:
            writer.close()


def _load(script: Path) -> Any:
    spec = importlib.util.spec_from_file_location("entry_module", script)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{script} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
