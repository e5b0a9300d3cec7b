"""The options that commands share."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

Env = Annotated[Optional[str], typer.Option("--env", help="The environment; default: the first.")]
Every = Annotated[Optional[str], typer.Option("--env", help="This environment only; default: all.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Version = Annotated[
    Optional[int], typer.Option("--version", help="The model version; default: the newest.")
]
