"""Datastores in Blob storage, and data assets in an Azure ML workspace."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mlops.errors import MlopsError
from mlops.project import Environment
from mlops.workspaces import DataVersion, Location, StoredFile
from mlops.workspaces.azure.errors import explained

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Data
    from azure.storage.blob import BlobClient, ContainerClient

BLOCK = 8 << 20
MOST_BLOCKS = 50_000  # of one blob
AT_ONCE = 4
READ_AHEAD = 1 << 18  # little: Parquet is read here and there, and asks for what it needs
ASSET_PATH = re.compile(r"/datastores/(?P<datastore>[^/]+)/paths/(?P<path>.+?)/?$")


@explained
class AzureDataStore:
    """The datastores and data assets of a workspace.

    `credential` is what azure-storage-blob takes: mostly a token credential, as blobs are read
    and written as who is signed in, not with the key of the account.
    """

    def __init__(self, client: MLClient, credential: Any, environment: Environment) -> None:
        self.environment = environment
        self._client, self._credential = client, credential
        self._containers: dict[str, ContainerClient] = {}

    def files(self, location: Location) -> list[StoredFile]:
        """What lies there, in order of name."""
        container = self._container(location.datastore)
        with self._blobs(location):
            if not location.is_folder:
                blob = container.get_blob_client(location.path)
                there = _properties(blob)
                return [_stored(there, location.path.rpartition("/")[2])] if there else []
            folder = f"{location.path}/"
            # An account with folders of its own lists them, too.
            found = container.list_blobs(name_starts_with=folder, include=["metadata"])
            return sorted(
                (
                    _stored(blob, blob.name.removeprefix(folder))
                    for blob in found
                    if not (blob.metadata or {}).get("hdi_isfolder")
                ),
                key=lambda file: file.name,
            )

    def names(self, location: Location) -> list[str]:
        """The names of the blobs below a folder, in order."""
        container, folder = self._container(location.datastore), f"{location.path}/"
        with self._blobs(location):
            found = container.list_blob_names(name_starts_with=folder)
            return sorted(name.removeprefix(folder) for name in found)

    def upload(self, source: Path, location: Location, progress: Callable[[int], None]) -> None:
        """Upload a file in blocks, which become the blob in one step at the end.

        A block is named by its place and content: what a broken upload left is not sent again.
        """
        from azure.core import MatchConditions
        from azure.storage.blob import BlobBlock, ContentSettings

        blob = self._container(location.datastore).get_blob_client(location.path)
        with self._blobs(location):
            there = _properties(blob)
            unchanged: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
            if there:
                unchanged = {
                    "match_condition": MatchConditions.IfNotModified,
                    "etag": there.etag,
                }
            staged = _staged(blob)
            length = max(BLOCK, -(-source.stat().st_size // MOST_BLOCKS))
            whole = hashlib.md5(usedforsecurity=False)
            names: list[str] = []
            with source.open("rb") as stream, ThreadPoolExecutor(AT_ONCE) as pool:
                while blocks := list(_read(stream, length, AT_ONCE)):
                    missing = []
                    for block in blocks:
                        whole.update(block)
                        digest = hashlib.md5(block, usedforsecurity=False).hexdigest()
                        names.append(f"{len(names):05d}-{digest}")
                        if names[-1] not in staged:
                            missing.append((names[-1], block))
                    list(pool.map(lambda one: blob.stage_block(*one), missing))
                    progress(stream.tell())
            blob.commit_block_list(
                [BlobBlock(name) for name in names],
                content_settings=ContentSettings(content_md5=bytearray(whole.digest())),
                **unchanged,
            )

    def open(self, location: Location) -> BinaryIO:
        """The blob of a location; a read fails when the blob was replaced since.

        What is appended to a blob since, as collected data is, is not read.
        """
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

        blob = self._container(location.datastore).get_blob_client(location.path)
        with self._blobs(location):
            try:  # one request for a small blob, of which there are many
                first = blob.download_blob(0, READ_AHEAD)
                start = first.readall()
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", None) == "ContainerNotFound":
                    raise
                raise ResourceNotFoundError(f"there is no blob {location}") from None
            except HttpResponseError as error:
                if error.status_code != 416:  # no such range: the blob is empty
                    raise
                return io.BytesIO()
        its = first.properties
        size = int(str(its.content_range).rpartition("/")[2])
        etag = None if its.blob_type == "AppendBlob" else its.etag
        reader = _BlobReader(blob, size, etag, start, lambda: self._blobs(location))
        return io.BufferedReader(reader, READ_AHEAD)

    def register(self, version: DataVersion) -> DataVersion:
        """Register a data asset that names the location; nothing is copied."""
        from azure.ai.ml.entities import Data

        made = self._client.data.create_or_update(
            Data(
                name=version.name,
                version=version.version,
                type=version.location.type,
                path=str(version.location),
                tags=version.tags,
            )
        )
        return _version(made, version.name) or version

    def versions(self, name: str) -> list[DataVersion]:
        """The versions of a data asset, oldest first."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found = [_version(asset, name) for asset in self._client.data.list(name=name)]
        except ResourceNotFoundError:
            return []
        return sorted((v for v in found if v), key=lambda version: version.created)

    def reference(self, version: DataVersion) -> str:
        """The data asset's name, as pipelines write it."""
        return f"azureml:{version}"

    def _container(self, datastore: str) -> ContainerClient:
        from azure.core.exceptions import ResourceNotFoundError
        from azure.storage.blob import ContainerClient

        if datastore not in self._containers:
            workspace = self.environment.settings.azure.workspace
            try:
                found: Any = self._client.datastores.get(datastore)
            except ResourceNotFoundError:
                raise MlopsError(
                    f"there is no datastore `{datastore}` in the workspace {workspace} of "
                    f"{self.environment.name}; make it, or write another into data/sources.yml"
                ) from None
            if not getattr(found, "container_name", None):
                raise MlopsError(
                    f"the datastore `{datastore}` of {workspace} is a {found.type}, not a "
                    "container in Blob storage; write another into data/sources.yml"
                )
            address = f"{found.protocol}://{found.account_name}.blob.{found.endpoint}"
            self._containers[datastore] = ContainerClient(
                address, found.container_name, credential=self._credential
            )
        return self._containers[datastore]

    @contextmanager
    def _blobs(self, location: Location) -> Iterator[None]:
        """Say what Blob storage's refusals mean here."""
        from azure.core.exceptions import HttpResponseError

        try:
            yield
        except HttpResponseError as error:
            code: str = (
                getattr(error, "error_code", None) or ""
            )  # a known one is a text and an enum
            container = self._container(location.datastore)
            where = f"the container {container.container_name} of {container.account_name}"
            if error.status_code == 412 or code in ("BlobAlreadyExists", "InvalidBlockList"):
                raise MlopsError(
                    f"{location} was replaced meanwhile by someone else; run the command again"
                ) from None
            if code == "ContainerNotFound":
                raise MlopsError(
                    f"{where} is not there; the datastore `{location.datastore}` names it"
                ) from None
            if error.status_code == 403 and code.startswith("AuthorizationPermission"):
                raise MlopsError(
                    f"no permission for {location}: to read needs the role `Storage Blob Data "
                    f"Reader` on {where}, to write `Storage Blob Data Contributor`"
                ) from None
            raise


class _BlobReader(io.RawIOBase):
    """Reads one state of a blob, range by range, of which the `start` is known.

    Without an etag, the blob only grows.
    """

    def __init__(
        self, blob: BlobClient, size: int, etag: str | None, start: bytes,
        explain: Callable[[], Any],
    ) -> None:  # fmt: skip
        from azure.core import MatchConditions

        self._blob, self._size, self._start, self._explain = blob, size, start, explain
        self._unchanged: dict[str, Any] = (
            {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
        )
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self._size - self._at)
        if length <= 0:
            return 0
        read = self._start[self._at : self._at + length]
        if not read:
            with self._explain():
                read = self._blob.download_blob(self._at, length, **self._unchanged).readall()
        buffer[: len(read)] = read
        self._at += len(read)
        return len(read)


def _read(stream: BinaryIO, length: int, count: int) -> Iterator[bytes]:
    """The next `count` blocks of a file, or what is left of them."""
    for _ in range(count):
        if block := stream.read(length):
            yield block


def _properties(blob: BlobClient) -> Any:
    """The properties of a blob; None where there is none."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return blob.get_blob_properties()
    except ResourceNotFoundError as error:
        # The answer to HEAD has no body: the code stands in a header.
        if getattr(error, "error_code", None) == "ContainerNotFound":
            raise
        return None


def _staged(blob: BlobClient) -> set[str]:
    """The names of the blocks that an upload has left behind."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return {block.id for block in blob.get_block_list("uncommitted")[1]}
    except ResourceNotFoundError:
        return set()


def _stored(blob: Any, name: str) -> StoredFile:
    md5 = blob.content_settings.content_md5
    return StoredFile(name, blob.size, bytes(md5).hex() if md5 else blob.etag.strip('"'))


def _version(asset: Data, name: str) -> DataVersion | None:
    """A data asset; None for one that lies elsewhere than in a datastore."""
    found, kind = ASSET_PATH.search(str(asset.path)), asset.type
    if found is None or kind not in ("uri_file", "uri_folder"):
        return None
    made = asset.creation_context.created_at if asset.creation_context else None
    return DataVersion(
        name,
        str(asset.version),
        Location(
            found["datastore"], found["path"], "uri_file" if kind == "uri_file" else "uri_folder"
        ),
        made.isoformat() if made else "",
        dict(asset.tags or {}),
    )
