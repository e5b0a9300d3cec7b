"""What the project needs on GitHub: environments, variables, protection, code owners.

Source: GitHub, "REST API endpoints for deployment environments", "for Actions variables", "for teams".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

from mlops.cicd import code_owners, github_branch
from mlops.cicd.azure import (
    INFRASTRUCTURE,
    MONITORING,
    Azure,
    Options,
    azure_of,
    environments_of,
    platform_name,
)
from mlops.cicd.federation import file_item
from mlops.cicd.github_owners import Owners
from mlops.cicd.github_subject import Repository, federations
from mlops.cicd.identities import credential, lingering
from mlops.cicd.plan import Command, Item, complete, left, made_by, there
from mlops.cicd.refusals import Reader
from mlops.documents import read_yaml
from mlops.errors import Refused, UsageError
from mlops.project import Project

CONNECTED = "MLOPS_CONNECTED"
"""The repository's variable that lets jobs reach Azure; it is set last."""

PLANNED = "MLOPS_PLAN"
"""Whether pull requests may sign in to the infrastructure's environment: only where it has reviewers."""

CODE_OWNERS = ".github/CODEOWNERS"
UPDATE, TOKEN = "template-update", "TEMPLATE_UPDATE_TOKEN"
MOST_REVIEWERS = 6


def plan(project: Project, options: Options) -> list[Item]:
    """What is there on GitHub and in Azure, and what is to be made, in order; changes nothing.

    Raises:
        MlopsError: a tool is missing, not signed in, or refused.
        Refused: whoever is signed in does not administer the repository.
    """
    if not (project.root / ".github").is_dir():
        raise UsageError("this project has no .github: `mlops update --set ci_cd=github-actions`")
    reader = Reader(project.root)
    repository = Repository.find(reader)
    if not repository.admin:
        raise Refused(
            f"whoever gh is signed in as does not administer {repository.name}: environments, "
            "variables and protection take an administrator (`gh auth status` says who you are)"
        )
    hub = GitHub(project, reader, repository, options)
    items = [there(f"repository {repository.name}, branch {repository.branch}"), *hub.code_owners()]
    for name, path in hub.environments().items():
        items += hub.environment(name, path)
    azure = azure_of(reader, project, hub.waiting)
    items += azure.items
    items += hub.federation(azure)
    items += hub.variables(azure)
    items += [*hub.planned(azure), hub.protection(), hub.token()]
    return [*items, hub.connected(items)]


@dataclass(frozen=True)
class GitHub:
    """The repository, with what reads it."""

    project: Project
    reader: Reader
    repository: Repository
    options: Options
    waiting: set[str] = field(default_factory=set)
    """The environments that cannot be made yet. No identity takes tokens of their jobs: GitHub makes
    an environment that a job names, and nobody would approve of what goes there."""

    def find(self, path: str) -> Any:
        """What the repository has under a path of the REST API; None where it has nothing."""
        found = self.repository.api(f"repos/{self.repository.name}/{path}")
        return self.reader.find("gh", *found)

    def put(self, method: str, path: str, body: Any) -> Command:
        """A change by the REST API."""
        where = f"repos/{self.repository.name}/{path}"
        words = self.repository.api("--method", method, where, "--silent", "--input", "-")
        return Command("gh", words, body)

    @cached_property
    def owners(self) -> Owners:
        """The code owners as GitHub knows them."""
        file = code_owners.read(self.project.root / CODE_OWNERS)
        return Owners(self.reader, self.repository, file)

    def code_owners(self) -> list[Item]:
        """The file with the owners, and the teams that it names."""
        if not (self.project.root / CODE_OWNERS).is_file():
            said = "write it (docs/ci-cd.md shows how), commit, and run this again"
            return [left(CODE_OWNERS, said)]
        return self.owners.items(CODE_OWNERS)

    def environments(self) -> dict[str, str]:
        """Each environment on GitHub, and the file whose owners approve of what goes there.

        Where no file is named, nobody has to.
        """
        every = environments_of(self.project)
        named = dict.fromkeys((platform_name(one) for one in every), "")
        named[platform_name(every[-1])] = f"environments/{every[-1].name}.yml"
        if (self.project.root / INFRASTRUCTURE).is_dir():
            named[INFRASTRUCTURE] = f"{INFRASTRUCTURE}/main.bicep"
        return {**named, MONITORING: "", UPDATE: ""}

    def environment(self, name: str, path: str) -> list[Item]:
        """An environment, its reviewers, and the branch that its jobs must run on."""
        found = self.find(f"environments/{quote(name, safe='')}") or {}
        rules = {rule["type"]: rule for rule in found.get("protection_rules") or []}
        required = rules.get("required_reviewers") or {}
        have = [(one["type"], one["reviewer"]["id"]) for one in required.get("reviewers") or []]
        approved = bool(path) and self.options.reviewers
        wanted, labels = self.owners.reviewers(path) if approved else ([], [])
        what = f"environment {name}" + (f", reviewers {', '.join(labels)}" if labels else "")
        if approved and not (wanted or have):
            self.waiting.add(name)
            return [left(what, (
                f"nobody could approve of what goes there: {CODE_OWNERS} names no owner of {path} "
                "that GitHub knows"
            ), needed=True)]  # fmt: skip
        every = (have + [one for one in wanted if one not in have])[:MOST_REVIEWERS]
        alone = not any(kind == "Team" for kind, _ in every) and len(every) < 2
        body = {
            "wait_timer": (rules.get("wait_timer") or {}).get("wait_timer", 0),
            "prevent_self_review": bool(required.get("prevent_self_review"))
            or (bool(wanted) and not alone),
            "reviewers": [{"type": kind, "id": number} for kind, number in every] or None,
            "deployment_branch_policy": found.get("deployment_branch_policy"),
        }
        before = {
            **body, "prevent_self_review": bool(required.get("prevent_self_review")),
            "reviewers": [{"type": kind, "id": number} for kind, number in have] or None,
        }  # fmt: skip
        # Pull requests sign in to the infrastructure's environment, after its reviewers looked.
        open_ = name == INFRASTRUCTURE and bool(body["reviewers"])
        if not open_ and not body["deployment_branch_policy"]:
            body["deployment_branch_policy"] = {
                "protected_branches": False, "custom_branch_policies": True,
            }  # fmt: skip
        path = f"environments/{quote(name, safe='')}"
        same = bool(found) and body == before
        items = [there(what) if same else made_by(what, self.put("PUT", path, body))]
        if (body["deployment_branch_policy"] or {}).get("custom_branch_policies"):
            items += self._branch_policy(name, path, exists=bool(found))
        return items

    def _branch_policy(self, name: str, path: str, *, exists: bool) -> list[Item]:
        branch = self.repository.branch
        found = (exists and self.find(f"{path}/deployment-branch-policies")) or {}
        what = f"environment {name}, only for {branch}"
        open_to = [one["name"] for one in found.get("branch_policies") or []]
        items = []
        if others := [one for one in open_to if one != branch]:
            items.append(left(f"environment {name}, for no other branch", (
                f"it is open to {', '.join(others)}: take out under Settings, Environments what "
                "is not meant"
            )))  # fmt: skip
        if branch in open_to:
            return items or [there(what)]
        body = {"name": branch, "type": "branch"}
        policy = self.put("POST", f"{path}/deployment-branch-policies", body)
        return [*items, made_by(what, policy)]

    def federation(self, azure: Azure) -> list[Item]:
        """Whose tokens each identity takes, in Azure and in the environment's file."""
        every = {self._platform_name(name): name for name in azure.ready}
        names = {one: name for one, name in every.items() if one not in self.waiting}
        given = {
            platform: self.options.subjects[name]
            for platform, name in names.items()
            if name in self.options.subjects
        }
        items = []
        for platform in sorted(every.keys() - names):
            name, issuer = every[platform], self.repository.issuer
            items += lingering(self.reader, self.project, azure.identities[name], name, issuer)
        made = federations(self.reader, self.repository, list(names), given) if names else {}
        for platform, federation in made.items():
            name = names[platform]
            items.append(credential(self.reader, azure.ready[name], federation))
            if name in self.project.environments and INFRASTRUCTURE in azure.identities:
                items.append(file_item(self.project, name, federation))
        return items

    def variables(self, azure: Azure) -> list[Item]:
        """What azure/login asks the jobs' environments for; none of it is secret."""
        return [
            self._variable(name, value, self._platform_name(of))
            for of, identity in azure.ready.items()
            if self._platform_name(of) not in self.waiting
            for name, value in (
                ("AZURE_CLIENT_ID", identity.client_id),
                ("AZURE_TENANT_ID", identity.account.tenant),
                ("AZURE_SUBSCRIPTION_ID", identity.account.subscription),
            )
        ]

    def _variable(self, name: str, value: str, environment: str = "") -> Item:
        place = f"environments/{quote(environment, safe='')}" if environment else "actions"
        what = f"variable {name}" + (f" of {environment}" if environment else "")
        found = self.find(f"{place}/variables/{name}")
        if found and found["value"] == value:
            return there(what)
        where = ("--env", environment) if environment else ()
        return made_by(what, Command("gh", (
            "variable", "set", name, *where, "--repo", self.repository.full_name, "--body", value,
        )))  # fmt: skip

    def planned(self, azure: Azure) -> list[Item]:
        """Whether a pull request shows what it would change in Azure."""
        if INFRASTRUCTURE not in azure.ready:
            return []
        planned = self.options.reviewers and INFRASTRUCTURE not in self.waiting
        return [self._variable(PLANNED, "true" if planned else "false")]

    def protection(self) -> Item:
        """The protection of the default branch: pull requests, reviewed, with these checks."""
        branch, checks = self.repository.branch, self._checks()
        what = f"protection of {branch}: pull requests, checks {', '.join(checks)}"
        path = f"branches/{quote(branch, safe='')}/protection"
        try:
            found = self.find(path) or {}
        except Refused as refused:
            return left(what, str(refused).splitlines()[0])
        reviewed = self.repository.in_organization
        if github_branch.suffices(found, checks, reviewed=reviewed):
            return there(what)
        return made_by(
            what, self.put("PUT", path, github_branch.merged(found, checks, reviewed=reviewed))
        )

    def _checks(self) -> list[str]:
        """The jobs of the integration as GitHub shows them."""
        file = self.project.root / ".github" / "workflows" / "integration.yml"
        jobs = read_yaml(file).data["jobs"] if file.is_file() else {}
        return [job.get("name", key) for key, job in jobs.items()]

    def token(self) -> Item:
        """The token of the template's update: a secret, so a person sets it."""
        what = f"secret {TOKEN} of {UPDATE}"
        if self.find(f"environments/{UPDATE}/secrets/{TOKEN}"):
            return there(what)
        return left(what, (
            f"make a token (docs/ci-cd.md says which), and run `gh secret set {TOKEN} --env {UPDATE} "
            f"--repo {self.repository.full_name}`. Without it an update that changes a workflow fails, "
            "and the others need Settings, Actions, Allow GitHub Actions to create pull requests"
        ))  # fmt: skip

    def connected(self, items: list[Item]) -> Item:
        """The variable that lets jobs begin, once all is there that they need."""
        item = self._variable(CONNECTED, "true")
        if item.there or complete(items):
            return item
        return left(f"variable {CONNECTED}", (
            "stays unset, so that no job reaches Azure, until what is marked ! above is there; then "
            "run this again"
        ))  # fmt: skip

    def _platform_name(self, name: str) -> str:
        known = name in self.project.environments
        return platform_name(self.project.environment(name)) if known else name
