"""Datastores and data assets in a folder, as Blob storage and a workspace keep them."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from mlops.decisions import now
from mlops.digests import md5_of
from mlops.files import read_json, write_json
from mlops.workspaces import DataVersion, Location, StoredFile

BLOCK = 8 << 20
SECONDS_TO_FORGET = 3600  # what nobody wrote to for so long, a killed command has left


class LocalDataStore:
    """A folder per datastore, and the versions of the data assets in one file beside them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "versions.json"  # no datastore's name has a dot

    def files(self, location: Location) -> list[StoredFile]:
        """What lies there, in order of name."""
        path = self._path(location)
        if not location.is_folder:
            return [_stored(path, path.name)] if path.is_file() else []
        found = {file.relative_to(path).as_posix(): file for file in path.rglob("*")}
        return [_stored(file, name) for name, file in sorted(found.items()) if file.is_file()]

    def names(self, location: Location) -> list[str]:
        """The names of the files below a folder, in order."""
        path = self._path(location)
        found = (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        return sorted(found)

    def upload(self, source: Path, location: Location, progress: Callable[[int], None]) -> None:
        """Copy a file here; it gets its name when it is whole."""
        partials, target = self._folder / ".partial", self._path(location)
        for folder in (partials, target.parent):
            folder.mkdir(parents=True, exist_ok=True)
        for file in partials.iterdir():
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > SECONDS_TO_FORGET:
                    file.unlink()
        partial = partials / uuid.uuid4().hex
        try:
            with source.open("rb") as stream, partial.open("wb") as copy:
                while block := stream.read(BLOCK):
                    copy.write(block)
                    progress(copy.tell())
                copy.flush()
                os.fsync(copy.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def open(self, location: Location) -> BinaryIO:
        """The file of a location."""
        return self._path(location).open("rb")

    def register(self, version: DataVersion) -> DataVersion:
        """Register a version."""
        known = {str(each): each for each in self.versions(version.name)}
        if str(version) in known:
            return known[str(version)]
        location = version.location
        entry = {
            "name": version.name, "version": version.version, "created": now(),
            "type": location.type, "datastore": location.datastore, "path": location.path,
            "tags": version.tags,
        }  # fmt: skip
        write_json(self._file, [*self._entries(), entry])
        return _version(entry)

    def versions(self, name: str) -> list[DataVersion]:
        """The versions of a data asset, oldest first."""
        return [_version(entry) for entry in self._entries() if entry["name"] == name]

    def reference(self, version: DataVersion) -> Path:
        """The file, or the folder."""
        return self._path(version.location)

    def _entries(self) -> list[dict[str, Any]]:
        return list(read_json(self._file)) if self._file.is_file() else []

    def _path(self, location: Location) -> Path:
        return self._folder / location.datastore / location.path


def _stored(file: Path, name: str) -> StoredFile:
    return StoredFile(name, file.stat().st_size, md5_of(file))


def _version(entry: dict[str, Any]) -> DataVersion:
    location = Location(entry["datastore"], entry["path"], entry["type"])
    return DataVersion(
        entry["name"], entry["version"], location, entry["created"], dict(entry["tags"])
    )
