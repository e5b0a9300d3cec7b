"""The answers that the tests go through, and the exact files that each of them must give.

The lists here are written by hand and know nothing of the hooks: they are what the hooks are held to.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from allpairspy import AllPairs

from .conftest import TEMPLATE

Answers = dict[str, str]
SUBSCRIPTION = "00000000-1111-2222-3333-444444444444"
SHEET = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
CHOICES: dict[str, list[str]] = {
    name: value for name, value in SHEET.items() if isinstance(value, list) and name[0] != "_"
}


def pairwise() -> list[Answers]:
    """Answers in which every two values of every two choices meet; the first are the defaults."""
    random.seed(1)  # AllPairs breaks ties by chance
    parameters = {**CHOICES, "azure_subscription_id": ["", SUBSCRIPTION]}
    return [dict(zip(parameters, row)) for row in AllPairs(list(parameters.values()))]


def name_of(answers: Answers) -> str:
    """A short name for a test's id."""
    return "-".join(value.split("-")[0][:8] for value in answers.values() if value)


def expected_files(answers: Answers) -> set[str]:
    """Every file of a project with these answers and the default name."""
    engine = TEMPLATE / "{{cookiecutter.project_slug}}" / "src" / "mlops"
    files = {
        f"src/mlops/{path.relative_to(engine).as_posix()}"
        for path in engine.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files |= set(ALWAYS.split())
    for condition, names in SOMETIMES:
        if condition(answers):
            files |= set(names.split())
    environments = answers["environments"].split("-")
    files |= {f"environments/{name}.yml" for name in environments}
    if answers["azure_subscription_id"]:
        files |= {f".azureml/{name}/config.json" for name in environments}
    if answers["infrastructure"] == "bicep":
        shared = answers["workspaces"] == "one-shared"
        parameters = ["shared"] if shared else environments
        files |= {f"infrastructure/{name}.bicepparam" for name in parameters}
    return files


ALWAYS = """
    .amlignore .editorconfig .gitignore .pre-commit-config.yaml .yamllint.yml LICENSE Makefile
    README.md constraints.txt mypy.ini pyproject.toml ruff.toml
    containers/python-version
    containers/training/Dockerfile containers/training/environment.yml
    data/contract.yml data/sample.parquet data/sample.py data/sources.yml
    docs/data.md docs/monitoring.md docs/retraining.md docs/runbook.md docs/template-updates.md
    docs/training.md docs/your-own-data.md
    monitoring/monitor.yml
    monitoring/demo/contract.yml monitoring/demo/monitor.yml monitoring/demo/plan.yml
    monitoring/demo/README.md monitoring/demo/sources.yml monitoring/demo/table.parquet monitoring/demo/table.py
    pipelines/sweep.yml pipelines/training.yml src/.amlignore
    pipelines/components/evaluate.yml pipelines/components/prepare.yml
    pipelines/components/register.yml pipelines/components/train.yml
    src/churn_model/__init__.py src/churn_model/estimator.py src/churn_model/evaluate.py
    src/churn_model/features.py src/churn_model/importance.py src/churn_model/plots.py
    src/churn_model/prepare.py src/churn_model/score.py src/churn_model/train.py
    tests/conftest.py tests/test_data.py tests/test_model.py tests/test_project.py
"""


def _is(answer: str, *values: str) -> Callable[[Answers], bool]:
    return lambda answers: answers[answer] in values


SOMETIMES: list[tuple[Callable[[Answers], bool], str]] = [
    (
        _is("ci_cd", "github-actions"),
        "docs/ci-cd.md .github/CODEOWNERS .github/dependabot.yml .github/actions/setup/action.yml "
        ".github/workflows/integration.yml .github/workflows/training.yml "
        ".github/workflows/release.yml .github/workflows/monitoring.yml "
        ".github/workflows/template-update.yml",
    ),
    (
        lambda answers: (
            _is("ci_cd", "github-actions")(answers) and _is("infrastructure", "bicep")(answers)
        ),
        ".github/workflows/infrastructure.yml .github/workflows/teardown.yml",
    ),
    (
        _is("ci_cd", "azure-devops"),
        "docs/ci-cd.md .azure-pipelines/CODEOWNERS .azure-pipelines/names.yaml "
        ".azure-pipelines/steps/setup.yml .azure-pipelines/steps/summary.yml "
        ".azure-pipelines/integration.yml .azure-pipelines/training.yml "
        ".azure-pipelines/release.yml .azure-pipelines/monitoring.yml "
        ".azure-pipelines/template-update.yml",
    ),
    (
        lambda answers: (
            _is("ci_cd", "azure-devops")(answers) and _is("infrastructure", "bicep")(answers)
        ),
        ".azure-pipelines/infrastructure.yml .azure-pipelines/teardown.yml",
    ),
    (
        _is("infrastructure", "bicep"),
        "docs/azure.md infrastructure/README.md infrastructure/main.bicep infrastructure/roles.yml "
        "infrastructure/modules/access.bicep infrastructure/modules/access_before.bicep "
        "infrastructure/modules/alerts.bicep infrastructure/modules/budget.bicep "
        "infrastructure/modules/compute.bicep infrastructure/modules/container_registry.bicep "
        "infrastructure/modules/data.bicep infrastructure/modules/data_scientist_role.bicep "
        "infrastructure/modules/dispatch.bicep infrastructure/modules/dispatch.json "
        "infrastructure/modules/events.bicep "
        "infrastructure/modules/identities.bicep infrastructure/modules/key_vault.bicep "
        "infrastructure/modules/monitoring.bicep infrastructure/modules/registry.bicep "
        "infrastructure/modules/registry_access.bicep infrastructure/modules/storage.bicep "
        "infrastructure/modules/watch.bicep "
        "infrastructure/modules/workbook.bicep infrastructure/modules/workbook.json "
        "infrastructure/modules/workspace.bicep",
    ),
    (
        lambda answers: (
            _is("infrastructure", "bicep")(answers)
            and _is("serving", "online-and-batch", "online")(answers)
        ),
        "infrastructure/endpoint_alerts.bicep",
    ),
    (
        _is("serving", "online-and-batch", "online"),
        "docs/online.md tests/test_online.py "
        "containers/inference/Dockerfile containers/inference/environment.yml "
        "deployment/online/deployment.yml deployment/online/endpoint.yml",
    ),
    (
        _is("serving", "online-and-batch", "batch"),
        "docs/batch.md tests/test_batch.py "
        "containers/batch/Dockerfile containers/batch/environment.yml "
        "containers/batch/requirements.txt "
        "deployment/batch/deployment.yml deployment/batch/endpoint.yml",
    ),
]

# Words that stand in no file, outside the engine and the constraints, unless the answer is one of
# these values: a choice that was not taken leaves no trace.
TRACES = {
    r"github": ("ci_cd", {"github-actions"}),
    r"azure.?devops|azure-pipelines|service_connection": ("ci_cd", {"azure-devops"}),
    r"ci_cd|ci-cd\.md": ("ci_cd", {"github-actions", "azure-devops"}),
    r"bicep|infrastructure/": ("infrastructure", {"bicep"}),
    r"rollout|roll out|rollback|roll back|\btraffic|\bonline\b|inference-server": (
        "serving",
        {"online-and-batch", "online"},
    ),
    r"\bbatch|mlops score": ("serving", {"online-and-batch", "batch"}),
    r"\bmlr-": ("workspaces", {"one-per-environment"}),
    r"\bstaging\b": ("environments", {"dev-staging-prod", "dev-test-staging-prod"}),
    r"test\.yml|env test\b|name: test$|-test\b": ("environments", {"dev-test-staging-prod"}),
    r"all rights reserved|LicenseRef": ("license", {"proprietary"}),
    r"MIT License|\"MIT\"": ("license", {"MIT"}),
    r"Apache-2\.0|Apache License": ("license", {"Apache-2.0"}),
    r"BSD 3-Clause|BSD-3-Clause": ("license", {"BSD-3-Clause"}),
}
