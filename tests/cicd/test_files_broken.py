"""Each check of the CI/CD files can fail: a copy of the files with one thing broken makes it fail."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import generated

from . import checks


class Broken(NamedTuple):
    """One thing broken: in which file, what stands there in place of what, and what says so."""

    file: str
    old: str
    new: str
    check: str
    says: str


SHA = "3d3c42e5aac5ba805825da76410c181273ba90b1"
GITHUB = [
    # The platform's schema.
    Broken("workflows/release.yml", "    timeout-minutes: 180", "    timeout: 180", "schemas", "timeout"),
    Broken("actions/setup/action.yml", "  using: composite", "  using: compost", "schemas", "compost"),
    Broken("dependabot.yml", "interval: weekly", "interval: often", "schemas", "often"),
    # Tidiness, and shell.
    Broken("workflows/training.yml", "    name: train", "    name:  train", "yamllint", "spaces"),
    Broken("workflows/monitoring.yml", '"$ALARMS"', "$ALARMS | cat $ALARMS", "shellcheck", "SC2086"),
    # Safety.
    Broken("workflows/release.yml", '--version "$VERSION" $', '--version "${{ inputs.version }}" $',
           "zizmor", "template-injection"),
    Broken("workflows/release.yml", '--version "$VERSION" $', '--version "${{ inputs.version }}" $',
           "references", "an injection"),
    Broken("workflows/integration.yml", f"checkout@{SHA}", "checkout@v7", "zizmor", "unpinned-uses"),
    Broken("workflows/integration.yml", f"checkout@{SHA}", "checkout@v7", "references", "not pinned"),
    Broken("workflows/integration.yml", "  # v7.0.1", "", "references", "needs its version"),
    Broken("workflows/integration.yml", "persist-credentials: false", "fetch-tags: true",
           "zizmor", "artipacked"),
    Broken("workflows/integration.yml", "persist-credentials: false", "fetch-depth: 1",
           "references", "leaves its credentials"),
    Broken("workflows/integration.yml", "  pull_request:", "  pull_request_target:",
           "zizmor", "dangerous-triggers"),
    Broken("workflows/integration.yml", "  pull_request:", "  pull_request_target:",
           "references", "a stranger's words"),
    Broken("workflows/training.yml", "permissions: {}", "permissions: write-all",
           "zizmor", "excessive-permissions"),
    Broken("workflows/training.yml", "permissions: {}", "permissions: write-all",
           "references", "no permissions: `permissions: {}`"),
    Broken("workflows/template-update.yml", "    environment: template-update  # which holds the token\n",
           "", "zizmor", "secrets-outside-env"),
    Broken("workflows/template-update.yml", "    environment: template-update  # which holds the token\n",
           "", "references", "no secrets.TEMPLATE_UPDATE_TOKEN"),
    Broken("workflows/training.yml", "vars.AZURE_CLIENT_ID", "secrets.AZURE_CLIENT_ID",
           "references", "no secrets.AZURE_CLIENT_ID"),
    Broken("workflows/release.yml", "concurrency:\n  group: release\n  cancel-in-progress: false\n"
           "  queue: max  # none of those that wait is dropped\n", "",
           "zizmor", "concurrency-limits"),
    Broken("dependabot.yml", "      default-days: 7", "      default-days: 1", "zizmor", "cooldown"),
    Broken("workflows/infrastructure.yml",
           "\n      && github.event.pull_request.head.repo.full_name == github.repository", "",
           "references", "a fork's code"),
    Broken("workflows/release.yml", "        with:\n          target: azure\n", "",
           "references", "needs the set-up of `azure`"),
    Broken("workflows/monitoring.yml", "    if: vars.MLOPS_CONNECTED == 'true'", "    if: always()",
           "references", "unconnected"),
    # What is not there.
    Broken("workflows/training.yml", "needs: train\n", "needs: trains\n", "actionlint", "trains"),
    Broken("workflows/training.yml", "needs: train\n", "needs: trains\n", "references", "no job trains"),
    Broken("workflows/training.yml", "steps.train.outputs.digest", "steps.trains.outputs.digest",
           "actionlint", "trains"),
    Broken("workflows/training.yml", "steps.train.outputs.digest", "steps.train.outputs.hash",
           "references", "no steps.train.outputs.hash"),
    Broken("workflows/training.yml", "needs.train.outputs.digest", "needs.train.outputs.hash",
           "references", "no needs.train.outputs.hash"),
    Broken("workflows/training.yml", "release.yml", "deliver.yml", "references", "deliver.yml cannot"),
    Broken("workflows/training.yml", "--field version=", "--field number=", "references", "takes"),
    Broken("workflows/training.yml", "      - constraints.txt", "      - lock.txt", "references", "lock.txt"),
    Broken("workflows/training.yml", "environment: dev", "environment: nowhere", "references", "nowhere"),
    Broken("workflows/training.yml", "train --env dev", "train --env test", "references", "environment test"),
    Broken("workflows/training.yml", "mlops train", "mlops learn", "references", "no command `mlops learn`"),
    Broken("workflows/training.yml", "      actions: write", "      issues: write",
           "references", "needs `actions: write`"),
    Broken("workflows/training.yml", "    timeout-minutes: 360\n", "", "references", "no timeout"),
    Broken("workflows/training.yml", "ubuntu-24.04", "ubuntu-20.04", "references", "no current runner"),
    Broken("workflows/training.yml", "retention-days: 90", "retention-days: 5", "references", "90 days"),
    Broken("workflows/training.yml", "          target: azure", "          target: cloud",
           "references", "no target cloud"),
    Broken("workflows/training.yml", "          target: azure", "          extra: azure",
           "references", "no extra"),
    Broken("workflows/training.yml", "          tenant-id: ${{ vars.AZURE_TENANT_ID }}\n", "",
           "references", "client, tenant and subscription"),
    Broken("workflows/training.yml", "      id-token: write", "      checks: write",
           "references", "`id-token: write`"),
    Broken("workflows/training.yml", "GH_REPO:", "REPO:", "references", "gh needs GH_REPO"),
    Broken("workflows/release.yml", ' --env "$NAME"', ' --environment "$NAME"',
           "references", "no --environment"),
    Broken("workflows/release.yml", ' --env "$NAME"', "", "references", "nothing reads NAME"),
    Broken("workflows/release.yml", "NAME: ${{ matrix.target.name }}", "NAMES: ${{ matrix.target.name }}",
           "references", "$NAME is set nowhere"),
    Broken("workflows/release.yml", "fromJSON(needs.dev", "fromYAML(needs.dev", "actionlint", "fromYAML"),
    Broken("workflows/release.yml", "inputs.version }}", "inputs.versions }}", "references",
           "no inputs.versions"),
    Broken("workflows/integration.yml", "github.event.before", "github.event.previous",
           "references", "no github.event.previous"),
    Broken("workflows/integration.yml", "make lint", "make lints", "references", "no target lints"),
    Broken("workflows/integration.yml", ' --base "$BASE"', "", "references", "needs --base"),
    Broken("workflows/integration.yml", "group: integration", "groups: integration",
           "references", "no concurrency group"),
    Broken("workflows/integration.yml", "$/.github/actions/setup", "$/.github/actions/start",
           "references", "no $/.github/actions/start"),
    Broken("workflows/monitoring.yml", "--on github", "--on azure-devops", "references", "this is not"),
    Broken("actions/setup/action.yml", "'constraints.txt'", "'lock.txt'", "references", "no lock.txt"),
    Broken("dependabot.yml", "/.github/actions/setup", "/.github/actions/start", "references", "no /."),
]  # fmt: skip
AZURE = [
    Broken("infrastructure.yml", "        condition: ne(variables['System.PullRequest.IsFork'], 'True')\n",
           "", "references", "a fork's code"),
    Broken("release.yml", "target: azure", "target: setup", "references", "needs the set-up"),
    Broken("release.yml", 'cache: "no"', 'cache: "yes"', "references", "deployment job"),
    Broken("release.yml", "lockBehavior: sequential", "lockBehavior: none", "schemas", "none"),
    Broken("steps/summary.yml", "SourceFolder", "FromFolder", "schemas", "FromFolder"),
    Broken("training.yml", "name: train", "name:  train", "yamllint", "spaces"),
    Broken("monitoring.yml", '"$ALARMS"', "$ALARMS | cat $ALARMS", "shellcheck", "SC2086"),
    Broken("release.yml", '--version "$VERSION" $', '--version "${{ parameters.version }}" $',
           "references", "an injection"),
    Broken("training.yml", '"version=$VERSION"', '"version=$(version)"', "references", "an injection"),
    Broken("integration.yml", '        fetchDepth: "1"', '        persistCredentials: "true"',
           "references", "leaves its credentials"),
    Broken("integration.yml", "pr: none", "pr: [main]", "references", "`pr: none`"),
    Broken("integration.yml", "ubuntu-24.04", "ubuntu-20.04", "references", "no current image"),
    Broken("integration.yml", '    timeoutInMinutes: "15"\n', "", "references", "no timeout"),
    Broken("integration.yml", "steps/setup.yml", "steps/start.yml", "references", "no steps/start.yml"),
    Broken("integration.yml", "make lint", "make lints", "references", "no target lints"),
    Broken("integration.yml", "SYSTEM_PULLREQUEST_TARGETBRANCH", "SYSTEM_PULLREQUEST_TARGET",
           "references", "$SYSTEM_PULLREQUEST_TARGET is set nowhere"),
    Broken("training.yml", "dependsOn: train", "dependsOn: trains", "references", "no job trains"),
    Broken("training.yml", "['train.digest']", "['train.hash']", "references", "no output train.train.hash"),
    Broken("training.yml", "-release", "-deliver", "references", "no pipeline"),
    Broken("training.yml", '"digest=$DIGEST"', '"hash=$DIGEST"', "references", "takes"),
    Broken("training.yml", "DIGEST: $(digest)", "DIGEST: $(hash)", "references", "no $(hash)"),
    Broken("training.yml", "[constraints.txt,", "[lock.txt,", "references", "no lock.txt"),
    Broken("training.yml", "          target: azure", "          target: cloud", "references", "cannot be"),
    Broken("training.yml", "          records: records", "          record: records",
           "references", "no parameter record"),
    Broken("training.yml", "service_connection_dev", "service_connection_test",
           "references", "no service_connection_test"),
    Broken("training.yml", "${{ variables.service_connection_dev }}", "azure-churn-model-dev",
           "references", "does not come from names.yaml"),
    Broken("training.yml", "keepAzSessionActive: true", "keepAzSessionActive: false",
           "references", "keepAzSessionActive"),
    Broken("training.yml", "AzureCLI@2", "AzureCLI@1", "references", "does not know"),
    Broken("training.yml", "train --env dev", "train --env test", "references", "environment test"),
    Broken("release.yml", "stageDependencies.dev.release", "stageDependencies.dev.deliver",
           "references", "no output dev.deliver"),
    Broken("release.yml", "format('before_{0}'", "format('after_{0}'", "references", "no after_staging"),
    Broken("release.yml", "variables.later_environments", "variables.others", "references", "no others"),
    Broken("release.yml", "parameters.digest", "parameters.hash", "references", "no parameter hash"),
    Broken("release.yml", "lockBehavior: sequential\n", "", "references", "no lockBehavior"),
    Broken("release.yml", ' --env "$NAME"', "", "references", "nothing reads NAME"),
    Broken("monitoring.yml", "--on azure-devops", "--on github", "references", "this is not"),
    Broken("monitoring.yml", "AZURE_DEVOPS_EXT_PAT: $(System.AccessToken)\n          ALARMS",
           "ALARMS", "references", "az needs AZURE_DEVOPS_EXT_PAT"),
    Broken("template-update.yml", "          set -e\n", "", "references", "begin with `set -e`"),
    Broken("template-update.yml", "BRANCH: $(update.branch)", "BRANCH: $(update.name)",
           "references", "no $(update.name)"),
    Broken("template-update.yml", "variables['update.branch']", "variables['update.name']",
           "references", "no variable update.name"),
    Broken("steps/setup.yml", "| constraints.txt", "| lock.txt", "references", "no lock.txt"),
    Broken("steps/setup.yml", "variable=MLOPS_SUMMARY", "variable=SUMMARY",
           "references", "$MLOPS_SUMMARY is set nowhere"),
]  # fmt: skip
CASES = [("github-actions", broken) for broken in GITHUB] + [
    ("azure-devops", broken) for broken in AZURE
]


@pytest.mark.parametrize(
    ("ci_cd", "broken"), CASES, ids=[f"{b.check}-{Path(b.file).stem}-{b.new.strip()[:30]}" for _, b in CASES]
)  # fmt: skip
def test_a_broken_file_is_found(ci_cd: str, broken: Broken, tmp_path: Path) -> None:
    project = tmp_path / "churn-model"
    shutil.copytree(generated(ci_cd=ci_cd), project, copy_function=link)
    file = project / checks.FOLDERS[ci_cd] / broken.file
    text = file.read_text("utf-8")
    assert broken.old in text, f"{broken.file} does not say {broken.old!r} any more"
    file.unlink()
    file.write_text(text.replace(broken.old, broken.new, 1), encoding="utf-8")
    assert broken.says in checks.CHECKS[broken.check][0](project, ci_cd)


def link(source: str, target: str) -> None:
    """A second name for a file, which is quicker than a copy."""
    Path(target).hardlink_to(source)


def test_every_check_is_broken_once() -> None:
    broken = {(ci_cd, case.check) for ci_cd, case in CASES}
    made_for = {name: platforms for name, (_, platforms) in checks.CHECKS.items()}
    assert broken == {(ci_cd, name) for name, platforms in made_for.items() for ci_cd in platforms}
