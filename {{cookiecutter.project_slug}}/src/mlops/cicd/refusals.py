"""What `gh` and `az` refuse, in sentences that say what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mlops.errors import MlopsError, Refused, UsageError
from mlops.tools import ToolRefused, ask


class Rule(NamedTuple):
    """A refusal: the program, what it says (a regular expression), and what that means."""

    program: str
    said: str
    kind: type[MlopsError]
    meaning: str


RULES = (
    Rule("gh", r"SAML enforcement", Refused,
         "the organization wants a single sign-on of whoever asks: run `gh auth refresh`, authorize "
         "the organization on the page that opens, and run this again"),
    Rule("gh", r"rate limit", MlopsError,
         "GitHub answers no more for now, there were too many requests: `gh api rate_limit` says "
         "until when; run this again then"),
    Rule("gh", r"gh auth login|not logged in|HTTP 401|Bad credentials", UsageError,
         "gh is not signed in, or its token is no longer valid: run `gh auth login`"),
    Rule("gh", r"billing plan", Refused,
         "GitHub's plan has no required reviewers for a private repository: make the repository "
         "public, take a plan that has them (GitHub Enterprise), or go on without approval with "
         "`mlops connect github --without-reviewers`; then who may start a release needs nobody "
         "else's consent"),
    Rule("gh", r"Upgrade to GitHub", Refused,
         "GitHub's plan does not have this for a private repository: make it public, or take "
         "another plan"),
    Rule("gh", r"needs the \"(?P<scope>[\w:]+)\" scope", Refused,
         "gh's token may not do that: run `gh auth refresh --scopes {scope}`, and this again"),
    Rule("gh", r"Must have admin rights|Resource not accessible by", Refused,
         "whoever gh is signed in as may not do that: it takes an administrator of the repository "
         "(and a token with the right Administration)"),
    Rule("gh", r"gh repo set-default|no default remote", UsageError,
         "git pushes to more than one repository: say which is the project's, `gh repo set-default`, "
         "and run this again"),
    Rule("gh", r"no git remotes|none of the git remotes|not a git repository",
         UsageError, "this folder is not on GitHub yet: commit, and run "
         "`gh repo create --private --source . --push`"),
    Rule("gh", r"Branch not found", UsageError,
         "the branch is not on GitHub yet: run `git push -u origin HEAD`, and this again"),
    Rule("gh", r"Could not resolve to a Repository|Not Found|HTTP 404", MlopsError,
         "GitHub has no such thing, or hides it from whoever gh is signed in as "
         "(`gh auth status`)"),
    Rule("gh", r"error connecting|dial tcp|no such host|timeout", MlopsError,
         "GitHub cannot be reached from here"),
    Rule("az", r"misspelled or not recognized|requires the extension|is not installed", UsageError,
         "the Azure DevOps extension of az is missing: run "
         "`az extension add --name azure-devops`"),
    Rule("az", r"TF400813|not authorized to access this resource|VS403\d+|TF50309|TF401027|"
         r"Access denied", Refused,
         "whoever az is signed in as may not do that in Azure DevOps: it takes an administrator of "
         "the project; `az devops login --organization URL` signs in as somebody else"),
    Rule("az", r"TF200016|VS800075", UsageError,
         "there is no such project in Azure DevOps, or it is hidden from whoever az is signed in "
         "as: make it with `az devops project create --name NAME --organization URL`, or name "
         "another with --project"),
    Rule("az", r"TF401019", UsageError,
         "there is no such repository in the project: make it with `az repos create --name NAME`, "
         "push, or name another with --repository"),
    Rule("az", r"Page not found|VS800\d+|The resource cannot be found|user authentication: https"
         r"|TF400898|could not be found.*organization", UsageError,
         "there is no such organization in Azure DevOps, or it belongs to another tenant: compare "
         "--organization with its address in the browser, and `az account show` with its tenant"),
    Rule("az", r"Subscription '?(?P<scope>[\w-]+)'? not found|SubscriptionNotFound|"
         r"doesn't exist in cloud|TenantToken|InvalidAuthenticationTokenTenant", UsageError,
         "az is signed in, but does not see that subscription: run `az login --tenant TENANT` with "
         "the subscription's tenant"),
    Rule("az", r"az login|AADSTS|setup credentials", UsageError,
         "az is not signed in, or no longer: run `az login`"),
    Rule("az", r"AuthorizationFailed.*roleAssignments/write", Refused,
         "you may not assign roles on that subscription: let an Owner or a User Access "
         "Administrator of it run this"),
    Rule("az", r"AuthorizationFailed.*action '(?P<scope>[^']+)'", Refused,
         "you have no right in Azure to `{scope}` there: ask an Owner of the subscription"),
    Rule("az", r"AuthorizationFailed|Forbidden", Refused,
         "you have no right to that in Azure: ask an Owner of the subscription"),
    Rule("az", r"TooManyRequests|HTTP 429|TF400733", MlopsError,
         "there were too many requests: run this again in some minutes"),
)  # fmt: skip

ABSENT = (
    r"HTTP 404|ResourceNotFound|ResourceGroupNotFound|was not found|could not be found|NotFound\)"
)


def explain(error: ToolRefused) -> MlopsError:
    """A refusal in a sentence that says what to do, with what the tool itself said."""
    program = error.command.split(" ", 1)[0].split("(")[-1]
    for rule in RULES:
        found = re.search(rule.said, f"{error.stderr}\n{error.stdout}", re.IGNORECASE | re.DOTALL)
        if rule.program == program and found:
            scope = found.groupdict().get("scope") or ""
            said = " ".join(error.stderr.split())[:300]
            return rule.kind(f"{rule.meaning.replace('{scope}', scope)}\n  {program} said: {said}")
    return error


@dataclass(frozen=True)
class Reader:
    """Reads what is there; it changes nothing."""

    root: Path

    def ask(self, program: str, *arguments: str) -> Any:
        """What a tool answers as JSON.

        Raises:
            MlopsError: the tool refused, or is not installed.
        """
        try:
            return ask(program, arguments, root=self.root)
        except ToolRefused as error:
            raise explain(error) from None

    def find(self, program: str, *arguments: str) -> Any:
        """What a tool answers as JSON; None where there is no such thing.

        Raises:
            MlopsError: the tool refused, or is not installed.
        """
        try:
            return ask(program, arguments, root=self.root)
        except ToolRefused as error:
            if re.search(ABSENT, error.stderr):
                return None
            raise explain(error) from None
