"""The storage of workspaces and registries: Azurite, and which part of it a URI names."""

from __future__ import annotations

import datetime
import http.client
import re
import uuid
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from azure.storage.blob import (
    AccountSasPermissions,
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    ResourceTypes,
    generate_account_sas,
    generate_container_sas,
)

from tests.azure.messages import BLOBS, Answer, Refusal, Request
from tests.azure.resources import ASSETS, PROVIDER
from tests.azure.services import ACCOUNT_KEY, HOST

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn

HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding"}
# The addresses of data: in a datastore, a blob, an output of a job, an asset of a registry.
DATASTORE = re.compile(
    r"azureml://(?P<owner>subscriptions/.+?/)?datastores/(?P<store>[^/]+)/(?:paths/)?(?P<path>.*)"
)
WORKSPACE = re.compile(r"resourcegroups/([^/]+)/workspaces/([^/]+)", re.IGNORECASE)
BLOB = re.compile(
    r"https://(?P<account>[^.]+)\.blob\.core\.windows\.net/(?P<container>[^/]+)/?(?P<path>.*)"
)
JOB = re.compile(r"azureml://jobs/(?P<job>[^/]+)/outputs/(?P<output>[^/]+)(?:/paths/(?P<path>.*))?")
REGISTERED = re.compile(r"azureml://registries/(?P<name>[^/]+)/(?P<rest>.+)")


class Place(NamedTuple):
    """Where something lies; `prefix` is the name of a blob, or what the names of several share."""

    account: str
    container: str
    prefix: str = ""


class Storage:
    """An account of Azurite's for each workspace and registry, with a container per datastore."""

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure
        self._owned: dict[str, tuple[str, dict[str, str]]] = {}

    def add(self, owner: str) -> str:
        """Give a workspace or registry its storage; the name of the account."""
        account = self._azure.azurite.next_account()
        stores = {"workspaceblobstore": f"azureml-blobstore-{uuid.uuid4()}",
                  "workspaceartifactstore": "azureml"}  # fmt: skip
        self._owned[owner.lower()] = account, stores
        for container in stores.values():
            client = self.client(account).get_container_client(container)
            if client.exists():  # of a test long ago
                for blob in client.list_blobs():
                    client.delete_blob(blob.name)
            else:
                client.create_container()
        return account

    def account(self, owner: str) -> str:
        """The account of a workspace or registry."""
        return self._owned[owner.lower()][0]

    def containers(self, owner: str) -> dict[str, str]:
        """The container of each datastore."""
        return self._owned[owner.lower()][1]

    def registry(self, name: str) -> str | None:
        """The path of a registry, in small letters; None if there is none of this name."""
        end = f"/registries/{name}".lower()
        return next((owner for owner in self._owned if owner.endswith(end)), None)

    def client(self, account: str) -> BlobServiceClient:
        """A client of an account that does not go through the stand-in."""
        return BlobServiceClient(
            f"http://{HOST}:{self._azure.azurite.port}/{account}",
            {"account_name": account, "account_key": ACCOUNT_KEY},
        )

    # Which part a URI names

    def locate(self, uri: str, workspace: str) -> Place:
        """Where what a URI or ARM id names lies, seen from a workspace."""
        if found := DATASTORE.fullmatch(uri):
            if found["owner"]:
                owner = WORKSPACE.search(found["owner"])
                assert owner, uri
                workspace = self._azure.workspace_id(owner[1], owner[2])
            return self._in_store(workspace, found["store"], found["path"])
        if found := BLOB.fullmatch(uri):
            return Place(found["account"], found["container"], found["path"].rstrip("/"))
        if found := JOB.fullmatch(uri):
            store, folder = "workspaceblobstore", f"azureml/{found['job']}/{found['output']}"
            if found["output"] == "artifacts":
                store, folder = "workspaceartifactstore", f"ExperimentRun/dcid.{found['job']}"
            return self._in_store(workspace, store, f"{folder}/{found['path'] or ''}")
        if found := REGISTERED.fullmatch(uri):
            return self.locate(f"{self.registry(found['name'])}/{found['rest']}", workspace)
        if uri.startswith("/subscriptions/"):
            properties = self._azure.resources.find(uri)["properties"]
            target = next(properties[key] for key in ASSETS.values() if key in properties)
            return self.locate(target, re.split("/(?:models|data|codes)/", uri)[0])
        raise Refusal(400, "UserError", f"The stand-in cannot read the address {uri}.")

    def _in_store(self, workspace: str, store: str, path: str) -> Place:
        container = self.containers(workspace)[store]
        return Place(self.account(workspace), container, path.rstrip("/"))

    def resolved(self, uri: str, workspace: str) -> str:
        """Where the files lie, if a URI names the output of a job; else the URI as it is."""
        if not JOB.fullmatch(uri):
            return uri
        place, stores = self.locate(uri, workspace), self.containers(workspace)
        store = next(name for name, where in stores.items() if where == place.container)
        owner = workspace.replace(PROVIDER, "/").lstrip("/")
        return f"azureml://{owner}/datastores/{store}/paths/{place.prefix}"

    def _container(self, place: Place) -> ContainerClient:
        return self.client(place.account).get_container_client(place.container)

    def download(self, uri: str, workspace: str, folder: Path) -> Path:
        """Download what a URI names under a folder; its path there."""
        place = self.locate(uri, workspace)
        client, prefix = self._container(place), place.prefix
        names = [
            blob.name for blob in client.list_blobs(name_starts_with=prefix)
            if not prefix or blob.name == prefix or blob.name.startswith(f"{prefix}/")
        ]  # fmt: skip
        if not names:
            raise Refusal(404, "UserError", f"There is nothing at {uri}.")
        target = folder / PurePosixPath(prefix).name
        for name in names:
            file = target / name[len(prefix) :].lstrip("/") if name != prefix else target
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(client.download_blob(name).readall())
        return target

    def upload(self, path: Path, uri: str, workspace: str) -> None:
        """Upload a file, or the files of a folder, to a URI."""
        place = self.locate(uri, workspace)
        client, prefix = self._container(place), place.prefix
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                name = prefix if file == path else f"{prefix}/{file.relative_to(path).as_posix()}"
                client.upload_blob(name, file.read_bytes(), overwrite=True)

    # What clients get

    def secrets(self) -> dict[str, str]:
        """The secrets of a datastore."""
        return {"secretsType": "AccountKey", "key": ACCOUNT_KEY}

    def address(self, place: Place) -> str:
        """A URL with a signature that allows all in a container for a day."""
        signature = generate_container_sas(
            place.account, place.container, ACCOUNT_KEY, expiry=_tomorrow(),
            permission=ContainerSasPermissions.from_string("racwdl"),
        )  # fmt: skip
        path = quote(f"{place.container}/{place.prefix}".rstrip("/"))
        return f"https://{place.account}{BLOBS}/{path}?{signature}"

    def pending_upload(self, path: str) -> dict[str, Any]:
        """Where the files of an asset's version may be uploaded to."""
        account = self.account(re.split("/(?:codes|models|data|tempdatarefs)/", path)[0])
        place = Place(account, f"upload-{uuid.uuid4().hex}")
        self.client(account).create_container(place.container)
        reference = self._reference(f"https://{account}{BLOBS}/{place.container}", place)
        return {"pendingUploadId": place.container, "pendingUploadType": "TemporaryBlobReference",
                "blobReferenceForConsumption": reference}  # fmt: skip

    def data_reference(self, asked: dict[str, str], owner: str) -> dict[str, Any]:
        """An address from which the files of a registry's asset may be read."""
        place = self.locate(asked["blobUri"], owner)
        whole = Place(place.account, place.container)
        return {"blobReferenceForConsumption": self._reference(asked["blobUri"], whole)}

    def _reference(self, uri: str, place: Place) -> dict[str, Any]:
        credential = {"credentialType": "SAS", "sasUri": self.address(place)}
        return {"blobUri": uri, "storageAccountArmId": "", "credential": credential}

    # Requests to an account

    def answer(self, request: Request) -> Answer:
        """Pass a request for a blob to Azurite, which knows an account by its host."""
        headers = {name: value for name, value in request.headers.items()
                   if name.lower() not in HOP_BY_HOP}  # fmt: skip
        target = request.target
        if request.headers.get("Authorization", "").startswith("Bearer "):
            try:
                self._azure.identities.check(request)
            except Refusal as refusal:
                return _refused(refusal)
            del headers["Authorization"]
            target += ("&" if "?" in target else "?") + _account_sas(request.host.split(".")[0])
        connection = http.client.HTTPConnection(HOST, self._azure.azurite.port, timeout=60)
        try:
            connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(request.content)
            response = connection.getresponse()
            kept = {name: value for name, value in response.getheaders()
                    if name.lower() not in HOP_BY_HOP
                    and (request.method == "HEAD" or name.lower() != "content-length")}  # fmt: skip
            return Answer(response.status, response.read(), kept)
        finally:
            connection.close()


def _refused(refusal: Refusal) -> Answer:
    """A refusal as storage words it: in XML, with its code in a header."""
    status, code = refusal.answer.status, refusal.error["code"]
    message = refusal.error["message"]
    if status == 403:
        code = "AuthorizationPermissionMismatch"
        message = "This request is not authorized to perform this operation using this permission."
    content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    headers = {"Content-Type": "application/xml", "x-ms-error-code": code}
    return Answer(status, content.encode(), headers)


def _account_sas(account: str) -> str:
    kinds = ResourceTypes(service=True, container=True, object=True)
    allowed = AccountSasPermissions.from_string("rwdlac")
    return generate_account_sas(account, ACCOUNT_KEY, kinds, allowed, _tomorrow())


def _tomorrow() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
