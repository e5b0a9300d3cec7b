"""What Azure's batch driver does: `init()` once, then `run(mini_batch)` for each file.

`python batch_driver.py SCRIPT FOLDER_OF_PIECES FOLDER_OF_ANSWERS`. Run by its path, in a process
of its own, with the code of a model version: it imports nothing of the engine.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any


def main(script: Path, pieces: Path, answers: Path) -> None:
    """Score each piece, and write its answers to a Parquet file of the same name."""
    module = _load(script)
    module.init()
    for piece in sorted(pieces.iterdir()):
        module.run([str(piece)]).to_parquet(answers / piece.name, index=False)


def _load(script: Path) -> Any:
    spec = importlib.util.spec_from_file_location("entry_module", script)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{script} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
