"""Runs one step of the project's own package: `python -m mlops.step train --seed 1 ...`.

A step is a function with the name of its module: `train` in `<package>/train.py`. Its
parameters are the inputs and outputs of its component, given as `--name value`.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from mlops.errors import MlopsError, UsageError, disk_full

SOURCE = Path(__file__).resolve().parents[1]


def package_name(source: Path = SOURCE) -> str:
    """The one package that stands beside `mlops`: the model's own code.

    A job sees the code folder and nothing else of the project, so the name is found there.
    """
    packages = sorted(
        init.parent.name for init in source.glob("*/__init__.py") if init.parent.name != "mlops"
    )
    if len(packages) != 1:
        found = ", ".join(packages) or "none"
        raise UsageError(f"{source} must hold one package beside mlops, but there is: {found}")
    return packages[0]


def step_module(name: str) -> ModuleType:
    """A module of the model's own code, such as `train` or `score`.

    Raises:
        UsageError: the package has no such module.
    """
    package = package_name()
    if not (SOURCE / package / f"{name}.py").is_file():
        raise UsageError(f"there is no step `{name}`: {package}/{name}.py is missing")
    return importlib.import_module(f"{package}.{name}")


def step_function(name: str) -> Callable[..., None]:
    """The function of a step.

    Raises:
        UsageError: the package has no such step.
    """
    module = step_module(name)
    function = getattr(module, name, None)
    if function is None:
        raise UsageError(f"{module.__file__} must define the function `{name}`")
    return function  # type: ignore[no-any-return]


def parser_of(function: Callable[..., None], program: str) -> argparse.ArgumentParser:
    """A command line with one `--option` for each parameter of a function."""
    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    parser = argparse.ArgumentParser(program, description=summary, allow_abbrev=False)
    hints = get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        required = parameter.default is inspect.Parameter.empty
        parser.add_argument(
            f"--{name}",
            type={bool: _boolean, int: _integer}.get(hints[name], hints[name]),
            required=required,
            default=None if required else parameter.default,
        )
    return parser


def run(function: Callable[..., None], program: str, arguments: Sequence[str]) -> int:
    """Call a step with its options; its exit status, and on standard error why it failed."""
    try:
        function(**vars(parser_of(function, program).parse_args(arguments)))
    except MlopsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except Exception as error:
        message = disk_full(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 1
    return 0


def _boolean(text: str) -> Any:
    words = {"true": True, "false": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"write true or false, not {text!r}")
    return words[text.lower()]


def _integer(text: str) -> int:
    """A whole number, also where a search writes it as `32.0`."""
    with suppress(ValueError):
        return int(text.removesuffix(".0"))
    raise argparse.ArgumentTypeError(f"write a whole number, not {text!r}")


def main() -> None:
    """`python -m mlops.step STEP --name value ...`."""
    if len(sys.argv) < 2:
        raise SystemExit("usage: python -m mlops.step STEP --name value ...")
    name = sys.argv[1]
    try:
        function = step_function(name)
    except MlopsError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from None
    raise SystemExit(run(function, f"python -m mlops.step {name}", sys.argv[2:]))


if __name__ == "__main__":
    main()
