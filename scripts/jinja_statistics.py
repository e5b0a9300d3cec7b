"""The share of the template's lines that carry Jinja, against the limits of the architecture.

    python scripts/jinja_statistics.py

Files that cookiecutter copies without rendering count as lines, and their braces do not count.
Ends with 1 when a limit is passed.
"""

from __future__ import annotations

import fnmatch
import json
import sys
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "{{cookiecutter.project_slug}}"
LIMIT = 0.03  # of the lines may hold `{%`
# What carries answers; all else is plain, so that the usual tools read it where it stands.
WITH_ANSWERS = ("README.md", "LICENSE__", "pyproject.toml", "environments/", ".azureml/",
                "containers/python-version", "../templates/", ".github/CODEOWNERS",
                ".azure-pipelines/CODEOWNERS", ".azure-pipelines/names.yaml")  # fmt: skip


NOT_OURS = ("src/mlops/", "LICENSE__", "constraints.txt")


class Counts(NamedTuple):
    """Lines in all, with an expression, with a statement."""

    lines: int
    expressions: int
    statements: int


def count() -> dict[str, Counts]:
    """The counts of each file, by its path from the project's folder."""
    sheet = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    plain = sheet["_copy_without_render"]
    found = {}
    for path in sorted([*PROJECT.rglob("*"), *(ROOT / "templates").rglob("*")]):
        if not path.is_file() or path.suffix == ".parquet":
            continue
        inside = path.is_relative_to(PROJECT)
        name = path.relative_to(PROJECT if inside else ROOT).as_posix()
        lines = path.read_text(encoding="utf-8").splitlines()
        above = [name, *(parent.as_posix() for parent in PurePosixPath(name).parents)]
        rendered = not any(fnmatch.fnmatch(part, pattern) for part in above for pattern in plain)
        found[name if inside else f"../{name}"] = Counts(
            len(lines),
            rendered * sum("{{" in line for line in lines),
            rendered * sum("{%" in line for line in lines),
        )
    return found


def main() -> None:
    """Print the counts, those with Jinja by file."""
    found = count()
    total = Counts(*(sum(column) for column in zip(*found.values())))
    for name, counts in found.items():
        if counts.expressions or counts.statements:
            print(
                f"{name}: {counts.lines} lines, {counts.expressions} {{{{, {counts.statements} {{%"
            )
    share = total.statements / total.lines
    print(f"{len(found)} files, {total.lines} lines: {total.expressions / total.lines:.2%} with {{{{, "
          f"{share:.2%} with {{% (limit {LIMIT:.0%})")  # fmt: skip
    own = {name: counts for name, counts in found.items() if not name.startswith(NOT_OURS)}
    lines = sum(counts.lines for counts in own.values())
    print(f"without the engine, licenses and constraints: {total.statements / lines:.2%} with {{%")
    astray = [
        name
        for name, counts in found.items()
        if (counts.expressions or counts.statements) and not name.startswith(WITH_ANSWERS)
    ]
    if astray:
        sys.exit(f"these files should be plain: {', '.join(astray)}")
    if share > LIMIT:
        sys.exit("more lines hold {% than the architecture allows")


if __name__ == "__main__":
    main()
