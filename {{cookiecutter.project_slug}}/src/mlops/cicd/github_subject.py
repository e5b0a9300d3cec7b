"""The subject that GitHub writes into the tokens of a repository's jobs: asked, never assumed.

Source: GitHub, "OpenID Connect reference", and "REST API endpoints for GitHub Actions OIDC".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mlops.cicd.federation import Federation
from mlops.cicd.refusals import Reader
from mlops.errors import Refused


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub, as its REST API describes it; `host` is github.com or another."""

    host: str
    name: str
    branch: str
    private: bool
    admin: bool
    owner: str
    owner_id: int
    id: int
    in_organization: bool
    visibility: str

    @classmethod
    def find(cls, reader: Reader) -> Repository:
        """The repository that the project's folder was pushed to.

        Raises:
            MlopsError: it is not on GitHub, or gh may not see it.
        """
        said = reader.ask("gh", "repo", "view", "--json", "nameWithOwner,url")
        host = urlsplit(said["url"]).hostname or "github.com"
        found = reader.ask("gh", "api", *_host(host), f"repos/{said['nameWithOwner']}")
        return cls(
            host, found["full_name"], found["default_branch"], found["private"],
            found.get("permissions", {}).get("admin", False), found["owner"]["login"],
            found["owner"]["id"], found["id"], found["owner"]["type"] == "Organization",
            found.get("visibility") or ("private" if found["private"] else "public"),
        )  # fmt: skip

    def api(self, *arguments: str) -> tuple[str, ...]:
        """The arguments of `gh api` for this repository's host."""
        return ("api", *_host(self.host), *arguments)

    @property
    def full_name(self) -> str:
        """How `gh --repo` calls it."""
        return self.name if self.host == "github.com" else f"{self.host}/{self.name}"

    @property
    def issuer(self) -> str:
        """Who signs the tokens of its jobs."""
        if self.host == "github.com":
            return "https://token.actions.githubusercontent.com"
        if self.host.endswith(".ghe.com"):
            return f"https://token.actions.{self.host}"
        return f"https://{self.host}/_services/token"


def federations(
    reader: Reader, repository: Repository, environments: list[str], given: dict[str, str]
) -> dict[str, Federation]:
    """Issuer and subject of each environment on GitHub; `given` are subjects that a person wrote.

    Raises:
        Refused: the subject is made of what only a running job knows.
    """
    made: dict[str, Federation] = {}
    claims = Claims.ask(reader, repository) if set(environments) - set(given) else None
    for name in environments:
        subject = given.get(name) or (claims.subject(name) if claims else "")
        made[name] = Federation(repository.issuer, subject)
    return made


@dataclass(frozen=True)
class Claims:
    """The claims that a subject is made of, in order, and the values of those that are known."""

    keys: tuple[str, ...]
    known: dict[str, str]

    @classmethod
    def ask(cls, reader: Reader, repository: Repository) -> Claims:
        """What GitHub says of the repository, and of its organization where that decides."""
        said = reader.ask(
            "gh", *repository.api(f"repos/{repository.name}/actions/oidc/customization/sub")
        )
        keys = said.get("include_claim_keys") if not said.get("use_default", True) else None
        if not said.get("use_default", True) and not keys and repository.in_organization:
            organization = reader.find(
                "gh", *repository.api(f"orgs/{repository.owner}/actions/oidc/customization/sub")
            )
            keys = (organization or {}).get("include_claim_keys")
        return cls(tuple(keys or ("repo", "context")), _known(repository, said))

    def subject(self, environment: str) -> str:
        """The subject of the jobs of an environment.

        Raises:
            Refused: a claim of it is not known before a job runs.
        """
        context = f"environment:{environment.replace(':', '%3A')}"
        known = {**self.known, "context": context, "environment": context}
        if unknown := [key for key in self.keys if key not in known]:
            raise Refused(
                f"GitHub makes the subject of this repository's tokens of {', '.join(self.keys)}; "
                f"what {', '.join(unknown)} will say is not known here. Read the subject in the log "
                "of azure/login, which prints it, and write it: --subject "
                f"'{environment}=SUBJECT', once for each environment"
            )
        return ":".join(known[key] for key in self.keys)


def _known(repository: Repository, said: dict[str, Any]) -> dict[str, str]:
    owner, _, name = repository.name.partition("/")
    prefix = said.get("sub_claim_prefix")
    if not prefix and said.get("use_immutable_subject"):
        prefix = f"repo:{owner}@{repository.owner_id}/{name}@{repository.id}"
    return {
        "repo": prefix or f"repo:{repository.name}",
        "repository": f"repository:{repository.name}",
        "repository_id": f"repository_id:{repository.id}",
        "repository_owner": f"repository_owner:{repository.owner}",
        "repository_owner_id": f"repository_owner_id:{repository.owner_id}",
        "repository_visibility": f"repository_visibility:{repository.visibility}",
    }


def _host(host: str) -> tuple[str, ...]:
    return () if host == "github.com" else ("--hostname", host)
