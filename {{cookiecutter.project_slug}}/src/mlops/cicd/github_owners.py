"""The code owners on GitHub: whether the teams are there, and who approves of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops.cicd.code_owners import CodeOwners
from mlops.cicd.github_subject import Repository
from mlops.cicd.plan import Edit, Item, left, made_by, there
from mlops.cicd.refusals import Reader

PLACE = "@ORGANIZATION/"
"""What stands in the file of a new project for the organization."""


@dataclass(frozen=True)
class Owners:
    """The owners that a file names, and what GitHub knows of them."""

    reader: Reader
    repository: Repository
    file: CodeOwners
    _asked: dict[str, Any] = field(default_factory=dict)

    def items(self, path: str) -> list[Item]:
        """The file itself, and each team that it names."""
        owners = self.file.everybody
        filled = not any(owner.startswith(PLACE) for owner in owners)
        if not self.repository.in_organization:
            if not any("/" in owner for owner in owners):
                return [there(path)]
            return [left(path, (
                "a personal account has no teams: write people in place of teams, such as "
                f"`@{self.repository.owner}` for each `{PLACE}...`, and run this again"
            ))]  # fmt: skip
        what = f"{path} names teams of {self.repository.owner}"
        organization = self.repository.owner

        def fill(text: str, values: Mapping[str, str]) -> str:
            return text.replace(PLACE, f"@{organization}/")

        edit = Edit(path, f"{PLACE} becomes @{organization}/", fill)
        items = [there(what) if filled else made_by(what, edit)]
        return items + [self._team(slug) for slug in self._slugs(owners)]

    def reviewers(self, path: str) -> tuple[list[tuple[str, int]], list[str]]:
        """Who may approve for the owners of a path: type and id on GitHub, and their names."""
        found, labels = [], []
        for owner in self.file.of(path):
            slugs = self._slugs([owner])
            if slugs:
                known = self._teams.get(slugs[0])
                kind, label = "Team", f"@{self.repository.owner}/{slugs[0]}"
            elif "/" not in owner and owner.startswith("@"):
                known = self.reader.find("gh", *self.repository.api(f"users/{owner[1:]}"))
                kind, label = "User", owner
            else:
                continue
            if known:
                found.append((kind, known["id"]))
                labels.append(label)
        return found, labels

    def _slugs(self, owners: list[str]) -> list[str]:
        """The teams among them that belong to the repository's organization."""
        if not self.repository.in_organization:
            return []
        ours = tuple(f"{mark}/" for mark in ("@organization", f"@{self.repository.owner}".lower()))
        found = [owner.split("/", 1)[1] for owner in owners if owner.lower().startswith(ours)]
        return list(dict.fromkeys(found))

    @property
    def _teams(self) -> dict[str, Any]:
        """The teams that reach the repository, by name in addresses."""
        if "teams" not in self._asked:
            path = f"repos/{self.repository.name}/teams?per_page=100"
            listed = self.reader.ask("gh", *self.repository.api(path))
            self._asked["teams"] = {team["slug"]: team for team in listed}
        teams: dict[str, Any] = self._asked["teams"]
        return teams

    def _team(self, slug: str) -> Item:
        organization, name = self.repository.owner, self.repository.name
        what = f"team {organization}/{slug}, with write access"
        team = self._teams.get(slug)
        if team and team["permission"] in ("push", "maintain", "admin"):
            return there(what)
        grant = f"`gh api --method PUT orgs/{organization}/teams/{slug}/repos/{name} -f permission=push`"
        known = team or self.reader.find(
            "gh", *self.repository.api(f"orgs/{organization}/teams/{slug}")
        )
        if known:
            return left(what, f"it may not write: run {grant}, and this again")
        make = f"`gh api --method POST orgs/{organization}/teams -f name={slug} -f privacy=closed`"
        return left(what, f"there is no such team: run {make} and {grant}, and this again")
