"""The tracking store of a local workspace: MLflow's tables in one SQLite file."""

from __future__ import annotations

import shutil
from pathlib import Path

from mlops.workspaces.registry import quiet_mlflow


def create_store(file: Path, artifacts: Path) -> None:
    """Make the store where there is none yet.

    MLflow takes a second to migrate a new file from its first version to its last. Killed within
    it, it could not go on, so the file is filled elsewhere and put in its place when it is whole.
    """
    if file.is_file():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    from filelock import FileLock

    quiet_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with FileLock(file.with_suffix(".lock")):
        if file.is_file():
            return
        folder = file.with_name(f".{file.stem}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        address = f"sqlite:///{(folder / file.name).as_posix()}"
        store = SqlAlchemyStore(address, artifacts.as_uri())  # type: ignore[no-untyped-call]
        store.engine.dispose()
        (folder / file.name).replace(file)
        folder.rmdir()
