"""CODEOWNERS: who answers for which files. The last line that matches a file decides.

Source: GitHub, "About code owners". Azure DevOps knows no such file; there, `mlops connect` makes
policies of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Rule:
    """A line: a pattern of paths, and who owns them (`@org/team`, `@user`, or an address)."""

    pattern: str
    owners: tuple[str, ...]

    def matches(self, path: str) -> bool:
        """Whether a path, as seen from the repository's root, is meant."""
        return re.fullmatch(_expression(self.pattern), path.lstrip("/")) is not None


@dataclass(frozen=True)
class CodeOwners:
    """The lines of a CODEOWNERS file, in order; none where there is no file."""

    rules: tuple[Rule, ...] = ()

    def of(self, path: str) -> tuple[str, ...]:
        """Who owns a file."""
        return next((rule.owners for rule in reversed(self.rules) if rule.matches(path)), ())

    @property
    def everybody(self) -> list[str]:
        """All owners, each once, in order of appearance."""
        return list(dict.fromkeys(owner for rule in self.rules for owner in rule.owners))


def read(file: Path) -> CodeOwners:
    """Read a CODEOWNERS file; one that is missing names nobody."""
    return parse(file.read_text(encoding="utf-8")) if file.is_file() else CodeOwners()


def parse(text: str) -> CodeOwners:
    """The lines of a CODEOWNERS file."""
    rules = []
    for line in text.splitlines():
        words = re.findall(r"(?:\\.|[^\s\\])+", re.sub(r"(^|\s)#.*", "", line))
        if words:
            rules.append(Rule(words[0].replace("\\ ", " "), tuple(words[1:])))
    return CodeOwners(tuple(rules))


def _expression(pattern: str) -> str:
    """The pattern as a regular expression over paths: as in .gitignore, but for `!` and `[]`."""
    anchored = "/" in pattern.rstrip("/")
    body = pattern.strip("/")
    # `docs/*` means the files in docs; `docs` and `docs/` mean all below it as well.
    below = "/.+" if pattern.endswith("/") else "" if body.endswith("/*") else "(/.+)?"
    parts = {"**/": "(.+/)?", "/**": "/.+", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    words = re.split(r"(\*\*/|/\*\*$|\*\*|\*|\?)", body)
    expression = "".join(parts.get(word, re.escape(word)) for word in words)
    return ("" if anchored else "(.+/)?") + expression + below
