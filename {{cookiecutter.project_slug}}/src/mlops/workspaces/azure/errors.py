"""What Azure answered when it did not do what was asked, as a sentence that says who mends it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from mlops.errors import MlopsError, redact
from mlops.project import Environment
from mlops.workspaces.azure.sign_in import renew

Class = TypeVar("Class", bound=type)

# The least built-in role that allows an action; the first pattern that fits counts.
ROLES = (
    (r"(?i)Insights/metrics", "Monitoring Reader"),
    (r"MachineLearningServices/registries/", "AzureML Registry User"),
    (r"workspaces/computes/(write|delete|start|stop)", "AzureML Compute Operator"),
    (r"MachineLearningServices/workspaces/(write|delete)", "Contributor"),
    (r"MachineLearningServices/workspaces/", "AzureML Data Scientist"),
    (r"ManagedIdentity/", "Managed Identity Operator"),
    (r"Storage/.*/blobs", "Storage Blob Data Contributor"),
    (r"Authorization/roleAssignments", "Role Based Access Control Administrator"),
)
REFUSED = re.compile(
    r"client '(?P<client>[^']*)' with object id '(?P<oid>[^']*)'.*?"
    r"action '(?P<action>[^']*)'.*?scope '(?P<scope>[^']*)'",
    re.DOTALL,
)


def explained(cls: Class) -> Class:
    """Let the public methods of a workspace raise `MlopsError` where Azure says no.

    Each begins with a sign-in that lasts. What azure-ai-ml prints about its progress goes to
    standard error: it is no result.
    """
    for name, member in list(vars(cls).items()):
        if callable(member) and not name.startswith("_"):
            setattr(cls, name, _explaining(member))
    return cls


def _explaining(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        renew()  # MLflow signs in by itself, so not only the SDK's credential does it
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return method(self, *arguments, **named)
        except MlopsError:
            raise
        except Exception as error:
            sentence = explain(error, self.environment)
            if sentence is None or os.environ.get("MLOPS_DEBUG"):
                raise
            raise MlopsError(redact(sentence)) from None

    return call


def explain(error: Exception, environment: Environment) -> str | None:
    """The sentence for an error of Azure's libraries; None for what is not Azure's.

    Source of the codes: Azure Resource Manager's "common deployment errors", and the messages of
    azure-identity.
    """
    from azure.core import exceptions

    azure = environment.settings.azure
    if type(error).__module__.startswith("azure.ai.ml"):
        return f"azure-ai-ml: {_first_line(str(getattr(error, 'message', '') or error))}"
    status, code, message = _answer(error)
    login = f"az login --tenant {azure.tenant_id}" if azure.tenant_id else "az login"
    install = "" if shutil.which("az") else ", once the Azure CLI is installed (aka.ms/azure-cli)"
    if "InvalidAuthenticationTokenTenant" in (code, *message.split(maxsplit=1)) or (
        "InvalidAuthenticationTokenTenant" in str(error)
    ):
        return (
            f"signed in to another tenant than that of subscription {azure.subscription_id}; "
            f"run `{login}`"
        )
    if isinstance(error, exceptions.ClientAuthenticationError) or status == 401:
        return (
            f"not signed in to Azure: run `{login}`{install}; in CI/CD, sign in by workload "
            f"identity federation before this command"
        )
    if status == 403 or code == "AuthorizationFailed":
        return _no_permission(message, environment)
    if "quota" in f"{code} {message}".lower():
        return (
            f"a quota of subscription {azure.subscription_id} in {azure.location} is exhausted: "
            f"{_first_line(message)}; ask for more at https://aka.ms/ProdportalCRP/, or lower "
            f"`azure.compute`, `azure.online` or `azure.batch` in {environment.document.path.name}"
        )
    if code == "SubscriptionNotFound":
        return (
            f"{environment.document.path}:{environment.document.line('azure', 'subscription_id')}: "
            f"there is no subscription {azure.subscription_id} for who is signed in; run `{login}`, "
            "or correct the id"
        )
    if isinstance(error, exceptions.ResourceNotFoundError) or status == 404:
        return _not_there(code, message, environment)
    if isinstance(error, (exceptions.ServiceRequestError, exceptions.ServiceResponseError)):
        return f"Azure cannot be reached: {_first_line(str(error))}; run the command again"
    if isinstance(error, exceptions.AzureError) or status is not None:
        # What failed after it had been accepted carries the status of the question how it went.
        said = " ".join(
            str(part) for part in (status if (status or 0) >= 400 else "", code) if part
        )
        return f"Azure failed ({said or 'no code'}): {_first_line(message)}; run the command again"
    if type(error).__module__.startswith("mlflow"):
        return f"Azure ML's MLflow: {_first_line(message)}; run the command again"
    return None


def _no_permission(message: str, environment: Environment) -> str:
    azure = environment.settings.azure
    found = REFUSED.search(message)
    if found is None:
        return (
            f"no permission in workspace {azure.workspace} of {environment.name}: "
            f"{_first_line(message)}; `mlops workspaces check --env {environment.name}` says which "
            "roles are missing"
        )
    role = next((role for pattern, role in ROLES if re.search(pattern, found["action"])), None)
    needs = f"the role `{role}`" if role else f"a role that allows {found['action']}"
    return (
        f"no permission: `{found['client']}` (object id {found['oid']}) needs {needs} on "
        f"{found['scope']} for {found['action']}; who may assign roles there runs `az role "
        f'assignment create --assignee {found["oid"]} --role "{role or "ROLE"}" --scope '
        f"{found['scope']}`, or puts the person's group under `access` in "
        f"{environment.document.path.name}"
    )


def _not_there(code: str, message: str, environment: Environment) -> str:
    azure = environment.settings.azure
    if code == "ResourceGroupNotFound" or f"workspaces/{azure.workspace}'" in message:
        return (
            f"the workspace {azure.workspace} of {environment.name} is not there in resource group "
            f"{azure.resource_group}; `mlops workspaces apply --env {environment.name}` makes it"
        )
    return (
        f"not there in Azure: {_first_line(message)}; `mlops workspaces check --env "
        f"{environment.name}` shows what is missing"
    )


def _answer(error: Exception) -> tuple[int | None, str, str]:
    """Status, code and message of an answer, also where MLflow carries it in its text."""
    status = getattr(error, "status_code", None)
    details = getattr(error, "error", None)
    code = str(getattr(details, "code", "") or "")
    message = str(getattr(details, "message", "") or getattr(error, "message", "") or error)
    if type(error).__module__.startswith("mlflow"):
        status = None
        if said := re.search(r"failed with error code (\d+)", message):
            status = int(said[1])
        if body := re.search(r"\{.*\}", message, re.DOTALL):
            code, message = _from_json(body[0], code, message)
    elif not code and (body := re.search(r"\{.*\}", message, re.DOTALL)):
        code, message = _from_json(body[0], code, message)
    return status, code, message


def _from_json(text: str, code: str, message: str) -> tuple[str, str]:
    try:
        body = json.loads(text)
    except ValueError:
        return code, message
    inner = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(inner, dict):
        return code, message
    return str(inner.get("code", code)), str(inner.get("message", message))


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:400].rstrip(".") if lines else "no reason was given"
