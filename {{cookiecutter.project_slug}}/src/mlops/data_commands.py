"""The commands for the data in Blob storage: `mlops data push | register | pull`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from mlops.console import relative
from mlops.options import Env, Json
from mlops.session import Session, session

if TYPE_CHECKING:
    from mlops.data import Registration

data_commands = typer.Typer(
    no_args_is_help=True,
    help="Upload data to Blob storage, register it as a data asset, fetch a sample of it.",
)

Name = Annotated[str, typer.Option("--name", help="The data asset, as data/sources.yml names it.")]


@data_commands.command(epilog="Example: mlops data push --env dev table.parquet")
def push(
    file: Annotated[Path, typer.Argument(help="A Parquet or CSV file that obeys the contract.")],
    env: Env = None,
    name: Name = "training",
    json: Json = False,
) -> None:
    """Check a table, upload it and register it; what is there already is not done twice."""
    from mlops import data

    with session(json) as s:
        done = data.push(s.project, s.workspace(env), file, name, report=s.console.progress)
        s.console.result({**done.registration.record(), "uploaded": done.uploaded})
        there = "uploaded to" if done.uploaded else "lies already in"
        s.console.say(f"{file} {there} {done.target}")
        _say(s, done.registration)


@data_commands.command(epilog="Example: mlops data register --env dev")
def register(env: Env = None, name: Name = "training", json: Json = False) -> None:
    """Register what lies in Blob storage as a version of its data asset."""
    from mlops import data

    with session(json) as s:
        done = data.register(s.project, s.workspace(env), name)
        s.console.result(done.record())
        _say(s, done)


@data_commands.command(epilog="Example: mlops data pull --env dev --rows 10000")
def pull(
    env: Env = None,
    name: Name = "training",
    rows: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10_000,
    output: Annotated[
        Optional[Path], typer.Option(help="Default: in data/pulled/, which git ignores.")
    ] = None,
    json: Json = False,
) -> None:
    """Fetch a fair sample of the rows, of the first environment only."""
    from mlops import data

    with session(json) as s:
        done = data.pull(s.project, s.workspace(env), name, rows, output, report=s.console.progress)
        s.console.result(done.record())
        share = "all" if done.rows == done.of else f"{done.rows} of"
        file = relative(done.file)
        s.console.say(f"{share} {done.of} rows of {done.name}:{done.version} are in {file}")
        s.console.say(f"to train with them: mlops train --data {file}")


def _say(s: Session, done: Registration) -> None:
    if done.is_new:
        s.console.say(f"registered {done.version}")
    else:
        s.console.say(f"nothing changed: this is {done.version}, registered already")
