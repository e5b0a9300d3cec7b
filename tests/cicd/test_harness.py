"""The harness notices what is wrong with a workflow: each of these mistakes ends a story.

A mistake in what all stages share is looked for in the story of the training.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SCRATCH
from tests.updates.conftest import replace

from .azure_pipelines import AzureDevOps
from .expressions import ExpressionError
from .github import GitHub
from .platforms import Platform
from .stub import called, stub_project, tell_monitoring, tell_release, tell_training

STORIES = {"training": tell_training, "release": tell_release, "monitoring": tell_monitoring}
KINDS: dict[str, type[Platform]] = {"github": GitHub, "azure": AzureDevOps}
# A file (and the stage whose story shows it, if it is another), what stands there, and what a mistake
# makes of it.
GITHUB = [
    ("release", "    needs: dev\n", ""),
    ("release", "outputs.digest }}\n      environments", "outputs.digst }}\n      environments"),
    ("release", "      digest: ${{ steps.release.outputs.digest }}\n", ""),
    ("release", "steps.release.outputs.environments", "steps.releese.outputs.environments"),
    ("release", "      max-parallel: 1\n", ""),
    ("release", "environment: ${{ matrix.target.environment }}", "environment: dev"),
    ("release", "    environment: ${{ matrix.target.environment }}\n", ""),
    ("release", "          NAME: ${{ matrix.target.name }}\n", ""),
    ("release", "          DIGEST: ${{ needs.dev.outputs.digest }}\n", ""),
    ("release", '--version "$VERSION" --digest', "--version $VERSIN --digest"),
    ("release", "      id-token: write  # signs in to Azure\n", ""),
    ("training", "registered == 'true'", "registered == 'yes'"),
    ("training", "      actions: write  # starts the release\n", "      contents: read\n"),
    ("training", "          VERSION: ${{ needs.train.outputs.version }}\n", ""),
    ("training", "GH_TOKEN: ${{ github.token }}\n          GH_REPO", "GH_REPO"),
    ("training", "release.yml --ref", "relase.yml --ref"),
    ("training", '--field digest="$DIGEST"', '--field digets="$DIGEST"'),
    ("training", "    branches: [main]\n", "    branches: [master]\n"),
    ("training", "        id: train\n", ""),
    ("monitoring", "          ALARMS: ${{ needs.monitor.outputs.alarms }}\n", ""),
    ("monitoring", '\n          || [ "$?" = 3 ]  # 3: there are alarms', ""),
    ("monitoring", "    needs: [monitor, tell]\n", ""),
    ("monitoring", "        id: decide\n", ""),
    ("monitoring", "          REQUEST: ${{ needs.monitor.outputs.request }}\n", ""),
    ("monitoring", ' --raw-field request="$REQUEST"', ""),
    ("training in monitoring", "        if: inputs.request == ''\n", ""),
    ("training", "        if: inputs.request != ''\n", ""),
    ("training in monitoring", " || steps.retrain.outputs.registered", ""),
    ("training in monitoring", '--request "$REQUEST"', "--request $REQUEST"),
    ("training in monitoring", '\n          || [ "$?" = 3 ]  # 3: the model was refused', ""),
    ("training in monitoring", " --of retrain", ""),
    ("training in monitoring", "outputs.alarms != ''", "outputs.alarms == ''"),
]
AZURE = [
    ("release", "              - ${{ before }}\n", "              - ${{ name }}\n"),
    ("release", "release.release.digest", "release.digest"),
    ("release", "                  name: release\n", ""),
    ("release", "                      NAME: ${{ name }}\n", "                      NAM: a\n"),
    ("release", "                        DIGEST: $(digest)\n", "                        DIGEST: $(digst)\n"),
    ("release", "variables[format('environment_{0}', name)]", "variables.environment_dev"),
    ("release", "variables.service_connection_dev", "variables.service_conection_dev"),
    ("training", "train.registered'], 'true'", "train.registred'], 'true'"),
    ("training", "train.version']", "train.versoin']"),
    ("training", "AZURE_DEVOPS_EXT_PAT: $(System.AccessToken)\n          PIP", "PIP"),
    ("training", "    dependsOn: train\n    condition", "    condition"),
    ("training", "-release\n", "-relase\n"),
    ("training", "include: [main]\n  paths", "include: [master]\n  paths"),
    ("training", "steps/setup.yml\n        parameters", "steps/set-up.yml\n        parameters"),
    ("monitoring", "          AZURE_DEVOPS_EXT_PAT: $(System.AccessToken)\n          PIP", "          PIP"),
    ("monitoring", "monitor.alarms'", "monitor.alarm'"),
    ("monitoring", '\n            || [ "$?" = 3 ]  # 3: there are alarms', ""),
    ("monitoring", "    dependsOn: [monitor, tell]\n", ""),
    ("monitoring", "monitor.report'], 'true'", "monitor.report'], 'yes'"),
    ("monitoring", "decide.retrain'", "decide.retain'"),
    ("monitoring", "decide.request'", "decide.requst'"),
    ("training in monitoring", "      - ${{ else }}:\n", "      - ${{ if eq(1, 2) }}:\n"),
    ("training in monitoring", "              REQUEST: ${{ parameters.request }}\n", "              REQUEST: a\n"),
    ("training in monitoring", '\n                || [ "$?" = 3 ]  # 3: the model was refused', ""),
    ("training in monitoring", "train.alarms'", "train.alarm'"),
    ("training in monitoring", " --of retrain", ""),
    ("training in monitoring", "  - ${{ if ne(parameters.request, 'none') }}:\n      - job: tell", "  - ${{ if eq(1, 2) }}:\n      - job: tell"),
    ("steps/setup", "values: [setup, azure]", "values: [setup]"),
    ("steps/summary", "##vso[task.uploadsummary]", "##vso[task.uploadsumary]"),
]  # fmt: skip
MISTAKES = [("github", *m) for m in GITHUB] + [("azure", *m) for m in AZURE]


@pytest.fixture(scope="module")
def platforms() -> Iterator[dict[str, tuple[Platform, Path]]]:
    """Both platforms with the stub."""
    root = Path(tempfile.mkdtemp(dir=SCRATCH))
    yield {
        name: (kind(root / name, packages=False), stub_project(root / "made" / name, kind.ci_cd))
        for name, kind in KINDS.items()
    }
    shutil.rmtree(root)


@pytest.mark.parametrize("stage", STORIES)
@pytest.mark.parametrize("name", KINDS)
def test_the_story_of_a_stage(
    name: str, stage: str, platforms: dict[str, tuple[Platform, Path]]
) -> None:
    platform, project = platforms[name]
    platform.host(project)
    STORIES[stage](platform)


@pytest.mark.parametrize(
    ("name", "stage", "right", "wrong"), MISTAKES,
    ids=[f"{m[0]}-{m[1]}-{' '.join(m[2].split())[:40]}" for m in MISTAKES],
)  # fmt: skip
def test_a_mistake_in_a_workflow_is_noticed(
    name: str, stage: str, right: str, wrong: str, platforms: dict[str, tuple[Platform, Path]]
) -> None:
    platform, project = platforms[name]
    platform.host(project)
    called(platform)
    file, _, other = stage.partition(" in ")
    platform.commit(replace(f"{platform.folder}/{file}.yml", right, wrong))
    with pytest.raises((AssertionError, ExpressionError, LookupError, ValueError)):
        STORIES.get(other or file, tell_training)(platform)
