"""Data in Blob storage: checked and uploaded, registered as data assets, sampled for a laptop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mlops.contract import load_contract
from mlops.digests import digest_of, md5_of
from mlops.errors import MlopsError, Refused, UsageError
from mlops.project import Project
from mlops.samples import kind_of, rows_in, sample_tables
from mlops.sources import GROUND_TRUTH, TRAINING, Sources, load_sources, same_data
from mlops.tables import check_table
from mlops.workspaces import DataStore, DataVersion, Location, Report, StoredFile, Workspace

SECONDS_BETWEEN_REPORTS = 1.0


@dataclass(frozen=True)
class Registration:
    """A version of a data asset, and whether it is a new one."""

    version: DataVersion
    is_new: bool

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        location = self.version.location
        return {
            "name": self.version.name,
            "version": self.version.version,
            "datastore": location.datastore,
            "path": location.path,
            "tags": self.version.tags,
            "registered": self.is_new,
        }


@dataclass(frozen=True)
class Push:
    """What became of a table: whether it was uploaded, and its version."""

    target: Location
    uploaded: bool
    registration: Registration


@dataclass(frozen=True)
class Pull:
    """A sample: its file, its rows, and the rows that it was taken from."""

    file: Path
    rows: int
    of: int
    name: str
    version: str

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "name": self.name,
            "version": self.version,
            "file": str(self.file),
            "rows": self.rows,
            "of": self.of,
        }


def push(project: Project, workspace: Workspace, file: Path, name: str, *, report: Report) -> Push:
    """Check a table, upload it where its data asset lies, and register what lies there then.

    Nothing is uploaded that lies there already. Whoever reads there meanwhile, and whoever breaks
    the upload, finds the old file or the new one.

    Raises:
        UsageError: there is no such file or data asset.
        ContractViolation: a row breaks the contract; nothing is uploaded.
    """
    sources, location = _find(project, workspace, name)
    if not file.is_file():
        raise UsageError(f"{file}: there is no such file; give a Parquet or CSV file")
    kind, target = kind_of(str(file)), location.file(file.name)
    if kind != PurePosixPath(target.path).suffix:
        raise UsageError(
            f"{sources.document.path}:{sources.document.line('assets', name)}: `{name}` lies at "
            f"{target.path}; {file} is a {kind} file: write a path that ends so"
        )
    rows = check_table(file, load_contract(project.contract), labels=name == GROUND_TRUTH)
    report(f"{file}: {rows} rows obey the contract")
    store, size = workspace.data(), file.stat().st_size
    with workspace.lock():
        there = store.files(target)
        differs = [(f.size, f.digest) for f in there] != [(size, md5_of(file))]
        if differs:
            said = _Said(report)
            store.upload(
                file, target, lambda done: said(f"{target}: {done * 100 // max(size, 1)} %")
            )
        # A folder holds other tables, too.
        known = rows if location == target else None
        try:
            registration = _register(store, location, workspace.environment.name, name, known)
        except MlopsError as error:
            raise MlopsError(
                f"{file} lies in {target}, but is not registered: {error}; then run `mlops data "
                f"register --env {workspace.environment.name}`, or ask who works in the workspace to"
            ) from None
    return Push(target, differs, registration)


def register(project: Project, workspace: Workspace, name: str) -> Registration:
    """Register what lies in the environment as a version of its data asset.

    The version is a digest of the place, and of the names, sizes and checksums of the files there.
    So what did not change is not registered again.

    Raises:
        UsageError: there is no such data asset, or nothing lies there.
    """
    _, location = _find(project, workspace, name)
    with workspace.lock():
        return _register(workspace.data(), location, workspace.environment.name, name, None)


def pull(
    project: Project, workspace: Workspace, name: str, rows: int, output: Path | None, *, report: Report,
) -> Pull:  # fmt: skip
    """Fetch a sample of the data, of the same kind (Parquet or CSV).

    The rows are streamed; all are as likely to be in the sample, which is the same in every run.

    Raises:
        Refused: the environment is not the first one, or has the data of a later one.
        UsageError: there is no such data asset, nothing lies there, or it is no table.
    """
    first, environment = project.environments[0], workspace.environment.name
    if environment != first:
        raise Refused(
            f"the data of {environment} stays there: samples come from {first}, which has "
            f"non-production data; run `mlops data pull --env {first}`"
        )
    sources, location = _find(project, workspace, name)
    environments = [project.environment(each) for each in project.environments]
    if other := same_data(sources.assets[name], environments):
        raise Refused(
            f"{sources.document.path}:{sources.document.line('assets', name)}: `{name}` is the same "
            f"data in {first} as in {other}; write another place for {first}"
        )
    store = workspace.data()
    files = _files(store, location, environment)
    tables = [file for file in files if file.name.endswith((".parquet", ".csv"))]
    kinds = {kind_of(file.name) for file in tables}
    if len(kinds) != 1:
        raise UsageError(f"{location} must hold tables of one kind, .parquet or .csv")
    kind = kinds.pop()
    output = output or project.root / "data" / "pulled" / f"{name}{kind}"
    if output.suffix != kind:
        raise UsageError(f"{output}: the data is {kind}, and so is its sample: name a {kind} file")
    said = _Said(report)
    streams = ((file.name, store.open(location.file(file.name))) for file in tables)
    kept, seen = sample_tables(
        streams, rows, output, lambda done: said(f"{location}: {done} rows read")
    )
    return Pull(output, kept, seen, name, version_of(location, files))


def training_data(project: Project, workspace: Workspace) -> DataVersion | None:
    """The registered version that training reads: that of what lies in the environment now.

    None where `data/sources.yml` names no data for the environment, or none is registered.

    Raises:
        Refused: what lies there is not what was registered.
    """
    sources, environment = load_sources(project), workspace.environment.name
    if sources is None or TRAINING not in sources.assets:
        return None
    location = sources.assets[TRAINING].location(environment)
    if location is None:
        return None
    store = workspace.data()
    # Where environments share a workspace, the asset has versions of several places.
    registered = {v.version: v for v in store.versions(TRAINING) if v.location == location}
    if not registered:
        return None
    version = registered.get(version_of(location, store.files(location)))
    if version is None:
        raise Refused(
            f"what lies in {location} of {environment} is no registered version of `{TRAINING}`: it "
            f"has changed since; run `mlops data register --env {environment}`"
        )
    return version


def version_of(location: Location, files: list[StoredFile]) -> str:
    """The version of what lies in a place: 16 hexadecimal digits."""
    content = [(file.name, file.size, file.digest) for file in files]
    return digest_of([location.datastore, location.path, content])[:16]


def _find(project: Project, workspace: Workspace, name: str) -> tuple[Sources, Location]:
    sources = load_sources(project)
    if sources is None:
        raise UsageError(
            f"{project.sources} is missing: it says where the data lies; docs/data.md shows one"
        )
    return sources, sources.location(name, workspace.environment.name)


def _files(store: DataStore, location: Location, environment: str) -> list[StoredFile]:
    files = store.files(location)
    if not files:
        raise UsageError(
            f"nothing lies in {location} of {environment}; "
            f"`mlops data push --env {environment} FILE` puts a table there"
        )
    return files


def _register(
    store: DataStore, location: Location, environment: str, name: str, rows: int | None
) -> Registration:
    files = _files(store, location, environment)
    version = version_of(location, files)
    for known in store.versions(name):
        if known.version == version:
            return Registration(known, is_new=False)
    if rows is None and not location.is_folder:
        rows = rows_in(location.path, store.open(location))
    tags = {
        "datastore": location.datastore,
        "path": location.path,
        "bytes": str(sum(file.size for file in files)),
        **({} if rows is None else {"rows": str(rows)}),
    }
    return Registration(store.register(DataVersion(name, version, location, "", tags)), is_new=True)


class _Said:
    """Passes a line on when a second has passed since the last one."""

    def __init__(self, report: Report) -> None:
        self._report, self._last = report, time.monotonic()

    def __call__(self, line: str) -> None:
        if time.monotonic() - self._last >= SECONDS_BETWEEN_REPORTS:
            self._report(line)
            self._last = time.monotonic()
