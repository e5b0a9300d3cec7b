"""What the monitor in Azure compares with: held-out rows and labels, as data assets of MLTables."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops.contract import Contract
from mlops.digests import digest_of
from mlops.errors import MlopsError
from mlops.monitoring.columns import kind_of
from mlops.project import Environment, Project
from mlops.sources import GROUND_TRUTH, load_sources
from mlops.workspaces import DataStore, Location, ModelVersion
from mlops.workspaces.registry import EVALUATION, HELD_OUT

if TYPE_CHECKING:
    import pandas as pd
    from azure.ai.ml import MLClient

SCHEMA = "https://azuremlschemas.azureedge.net/latest/MLTable.schema.json"
PARQUET: dict[str, Any] = {"read_parquet": {"include_path_column": False}}
CSV: dict[str, Any] = {
    "read_delimited": {"delimiter": ",", "encoding": "utf8", "header": "all_files_same_headers"}
}


LONGEST_MODEL = 200  # of a data asset's name, which has at most 255


class Labels(NamedTuple):
    """Where the labels lie, or why Azure ML's monitor cannot have them."""

    location: Location | None
    problem: str = ""


class References:
    """The data assets of one environment's monitor, each registered once.

    They are uploaded by the SDK, with what the workspace hands out: who may release needs no right
    on the storage account for it.
    """

    def __init__(
        self, client: MLClient, project: Project, environment: Environment, store: DataStore
    ) -> None:
        self._client, self._project, self._environment = client, project, environment
        self._store = store
        self._model = environment.settings.model.replace(".", "-")[:LONGEST_MODEL]

    def held_out(self, version: ModelVersion, contract: Contract, files: Path) -> str:
        """The rows that a version was not trained on, with its answers: `azureml:<name>:<version>`.

        Raises:
            MlopsError: the version has none.
        """
        name, label = f"{self._model}-reference", f"{version.number}-{version.digest[:8]}"

        def fill(folder: Path) -> None:
            table = reference_table(contract, files)
            table.to_parquet(folder / "reference.parquet", index=False)
            write_mltable(folder, {"file": "./reference.parquet"}, PARQUET)

        said = {"model": version.name, "version": str(version.number), "origin": version.origin}
        return self._registered(name, label, fill, said)

    def labels(self) -> Labels:
        """Where the labels lie, if Azure ML's monitor can read them there."""
        from azure.ai.ml.entities import NoneCredentialConfiguration
        from azure.core.exceptions import ResourceNotFoundError

        name, sources = self._environment.name, load_sources(self._project)
        source = sources.assets.get(GROUND_TRUTH) if sources else None
        location = source.location(name) if source else None
        if location is None:
            return Labels(None, f"data/sources.yml has no `{GROUND_TRUTH}` of {name}")
        if all(version.location != location for version in self._store.versions(GROUND_TRUTH)):
            return Labels(
                None,
                f"no labels are registered yet; `mlops data register --env {name} --name "
                f"{GROUND_TRUTH}` registers them, and then `mlops workspaces apply --env {name}`",
            )
        try:
            credentials = self._client.datastores.get(location.datastore).credentials
        except ResourceNotFoundError:
            return Labels(None, f"there is no datastore `{location.datastore}`")
        if credentials is None or isinstance(credentials, NoneCredentialConfiguration):
            return Labels(
                None,
                f"Azure ML's monitor reads no datastore without credentials, as "
                f"`{location.datastore}` is; `mlops monitor` reads it",
            )
        return Labels(location)

    def ground_truth(self, location: Location) -> str:
        """The labels in a location as a data asset: `azureml:<name>:<version>`.

        It names the place: what lies there later is read as well.
        """

        def fill(folder: Path) -> None:
            paths, reading = self._paths(location)
            write_mltable(folder, paths, reading)

        name = f"{self._model}-{self._environment.name}-{GROUND_TRUTH.replace('_', '-')}"
        return self._registered(name, digest_of(str(location))[:16], fill, {"path": str(location)})

    def _paths(self, location: Location) -> tuple[dict[str, str], dict[str, Any]]:
        """Where the files of a location are, in full, and how they are read."""
        azure = self._environment.settings.azure
        place = (
            f"azureml://subscriptions/{azure.subscription_id}/resourcegroups/"
            f"{azure.resource_group}/workspaces/{azure.workspace}/datastores/{location.datastore}"
            f"/paths/{location.path}"
        )
        if not location.is_folder:
            return {"file": place}, CSV if location.path.endswith(".csv") else PARQUET
        return {"pattern": f"{place}/**/*.parquet"}, PARQUET

    def _registered(self, name: str, label: str, fill: Any, tags: dict[str, str]) -> str:
        from azure.ai.ml.entities import Data
        from azure.core.exceptions import ResourceNotFoundError

        try:
            self._client.data.get(name, label)
        except ResourceNotFoundError:
            with tempfile.TemporaryDirectory() as parent:
                folder = Path(parent) / name  # which the SDK calls it in the datastore as well
                folder.mkdir()
                fill(folder)
                data = Data(name=name, version=label, type="mltable", path=str(folder), tags=tags)
                self._client.data.create_or_update(data)
        return f"azureml:{name}:{label}"


def reference_table(contract: Contract, files: Path) -> pd.DataFrame:
    """The held-out rows of a version with its answers, in the columns that a deployment collects.

    A column that both tables have is compared, and a model is fitted to all of them to see what the
    answers lean on. So neither the id, the timestamp nor the target are here, and no column that is
    not collected. Categories are text, as they are collected.

    Raises:
        MlopsError: the version has no held-out rows, or no answers to them.
    """
    import pandas as pd

    paths = [files / HELD_OUT / "held_out.parquet", files / EVALUATION / "predictions.parquet"]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise MlopsError(f"the version has no {' and no '.join(missing)}: it was trained long ago")
    rows, answers = (pd.read_parquet(path).reset_index(drop=True) for path in paths)
    table = rows[
        [n for n, c in contract.features.items() if n in contract.collected and kind_of(c)]
    ]
    for name in table.columns:
        if contract.columns[name].type == "category":
            text = table[name].astype("string").astype("object")
            table = table.assign(**{name: text.where(table[name].notna(), None)})
    for name in answers.columns:
        if answers[name].dtype.name == "category":
            answers[name] = answers[name].astype("object")
    return pd.concat([table, answers], axis=1)


def write_mltable(folder: Path, path: dict[str, str], reading: dict[str, Any]) -> None:
    """Say in a folder's file `MLTable` where the table's files are, and how they are read."""
    import yaml

    content = {"$schema": SCHEMA, "type": "mltable", "paths": [path], "transformations": [reading]}
    text = yaml.safe_dump(content, sort_keys=False)
    (folder / "MLTable").write_text(text, encoding="utf-8")
