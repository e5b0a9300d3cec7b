"""The command line: parse, call, print; nothing else.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused by a rule.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from mlops.console import relative
from mlops.data_commands import data_commands
from mlops.errors import MlopsError, Refused, UsageError
from mlops.options import Env, Every, Json, Version
from mlops.session import session
from mlops.upkeep import settings_of, update, workspaces
from mlops.views import say_decision, say_status, show_decision

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One loop from data to production and back, the same on a laptop and in Azure.",
)


@app.command(epilog="Example: mlops check --env prod")
def check(env: Every = None, json: Json = False) -> None:
    """Check every file of the project and list what is wrong, with file and line."""
    from mlops.azure_checks import azure_is_installed
    from mlops.checks import check_project

    with session(json) as s:
        if env is not None:
            s.project.environment(env)
        findings = check_project(s.project, env)
        s.console.result(
            [{"file": str(f.path), "line": f.line, "problem": f.problem} for f in findings]
        )
        for finding in findings:
            s.console.say(finding.show(s.project.root))
        if not azure_is_installed():
            s.console.progress("azure-ai-ml is not installed: its own checks were left out")
        if findings:
            raise MlopsError(f"{len(findings)} finding(s)")
        s.console.say("no findings")


@app.command(epilog="Example: mlops train --env dev --set learning_rate=0.05")
def train(
    env: Env = None,
    pipeline: Annotated[
        str, typer.Option(help="A file in pipelines/: training, or sweep for a search.")
    ] = "training",
    data: Annotated[
        Optional[Path], typer.Option(help="A table in place of the registered one.")
    ] = None,
    set_: Annotated[
        Optional[list[str]],
        typer.Option("--set", help="NAME=VALUE for an input of the pipeline; may be repeated."),
    ] = None,
    cache: Annotated[bool, typer.Option(help="Reuse steps that did not change.")] = True,
    json: Json = False,
) -> None:
    """Run a training pipeline and register the model if the gate accepts it."""
    from mlops import training

    with session(json) as s:
        settings = settings_of(set_ or [])
        workspace = s.workspace(env)
        done = training.train(
            s.project,
            workspace,
            pipeline_name=pipeline,
            data=data,
            settings=settings,
            cache=cache,
            report=s.console.progress,
        )
        s.console.result(
            {
                "job": done.job.name,
                "data_version": str(done.data) if done.data else None,
                "decision": done.decision.record(),
                "card": str(done.card),
            }
        )
        say_decision(s.console, done.decision)
        s.console.say(f"model card: {relative(done.card)}")
        if done.version is None:
            failed, all_checks = len(done.decision.refusals), len(done.decision.checks)
            raise Refused(
                f"the gate refused the model ({failed} of {all_checks} checks failed); "
                "docs/runbook.md says what that means"
            )
        if done.version.tags.get("job") == done.job.name:
            s.console.say(f"registered {done.version} in {done.decision.environment}")
        else:
            champion = workspace.champion()
            s.console.say(f"nothing new: this is {done.version}, registered already")
            s.console.say(f"the champion of {done.decision.environment}: {champion or 'none'}")


@app.command(epilog="Example: mlops promote --from dev --to staging")
def promote(
    from_: Annotated[str, typer.Option("--from", help="Where the version is.")],
    to: Annotated[
        Optional[str], typer.Option("--to", help="Default: the next environment.")
    ] = None,
    env: Annotated[Optional[str], typer.Option("--env", help="Another name of --to.")] = None,
    version: Annotated[
        Optional[int], typer.Option("--version", help="Default: the champion of --from.")
    ] = None,
    json: Json = False,
) -> None:
    """Take a tested model version into the next environment, through its gate."""
    from mlops import promotion

    with session(json) as s:
        if to and env and to != env:
            raise UsageError(f"--to {to} and --env {env} say two things; write one of them")
        source = s.workspace(from_)
        name = to or env or s.project.next_environment(from_)
        if name is None:
            raise UsageError(f"{from_} is the last environment; there is none to promote to")
        target = s.workspace(name)
        received, decision = promotion.promote(
            s.project, source, target, version, report=s.console.progress
        )
        s.console.result({"version": received.number, "decision": decision.record()})
        say_decision(s.console, decision)
        s.console.say(f"{received.origin} is now {received} of {name}")
        s.console.say(f"next: {promotion.next_command(s.project, target.environment)}")


@app.command(epilog="Example: mlops deploy --env staging")
def deploy(env: Env = None, version: Version = None, json: Json = False) -> None:
    """Put a model version behind the endpoint at 0 % of the traffic and test it."""
    from mlops import release

    with session(json) as s:
        workspace = s.workspace(env)
        show_decision(s.console, release.deploy(workspace, version, report=s.console.progress))
        s.console.say(f"next: mlops rollout --env {workspace.environment.name}")


@app.command(epilog="Example: mlops rollout --env prod")
def rollout(env: Env = None, version: Version = None, json: Json = False) -> None:
    """Give the deployed version the traffic, stage by stage; a failed test puts it back."""
    from mlops import release

    with session(json) as s:
        workspace = s.workspace(env)
        show_decision(s.console, release.rollout(workspace, version, report=s.console.progress))
        s.console.say(f"to go back: mlops rollback --env {workspace.environment.name}")


@app.command(epilog="Example: mlops rollback --env prod")
def rollback(env: Env = None, json: Json = False) -> None:
    """Give all the traffic back to the previous deployment."""
    from mlops import release

    with session(json) as s:
        show_decision(s.console, release.rollback(s.workspace(env), report=s.console.progress))


@app.command(epilog="Example: mlops serve --env prod --port 5001")
def serve(
    env: Env = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; if in use, another is taken.")
    ] = 5001,
    json: Json = False,
) -> None:
    """Serve the endpoint on this machine, with its traffic and its key, until Ctrl-C."""
    with session(json) as s:
        report = s.console.progress if json else s.console.say
        with contextlib.suppress(KeyboardInterrupt):
            s.workspace(env).serve(port, report)


@app.command(epilog="Example: mlops invoke --env prod --input request.json")
def invoke(
    env: Env = None,
    input_: Annotated[
        Optional[Path],
        typer.Option("--input", help="A request; default: one made from the contract."),
    ] = None,
    deployment: Annotated[Optional[str], typer.Option(help="Ask this deployment only.")] = None,
    json: Json = False,
) -> None:
    """Send a request to the endpoint and print the answer."""
    from mlops import inference

    with session(json) as s:
        body = inference.request_from(input_, s.project.contract)
        response = s.workspace(env).invoke(body, deployment)
        s.console.result(inference.record_of(response))
        s.console.say(response.body)
        if response.status != 200:
            hint = "; deploy and roll out a version first" if not response.deployment else ""
            raise MlopsError(f"the endpoint answered {response.status}{hint}")
        s.console.progress(f"{response.deployment} answered in {response.milliseconds:.1f} ms")


@app.command(epilog="Example: mlops score --env prod --input table.parquet --output scores.parquet")
def score(
    input_: Annotated[Path, typer.Option("--input", help="A Parquet or CSV file.")],
    output: Annotated[Path, typer.Option("--output", help="A .parquet or .csv file to write.")],
    env: Env = None,
    version: Annotated[
        Optional[int], typer.Option("--version", help="Default: the environment's champion.")
    ] = None,
    json: Json = False,
) -> None:
    """Score a table in batches, of any size."""
    from mlops import inference

    with session(json) as s:
        chosen, rows = inference.score_table(
            s.workspace(env), input_, output, version, report=s.console.progress
        )
        s.console.result({"version": chosen.number, "rows": rows, "output": str(output)})
        s.console.say(f"{rows} rows scored with {chosen} into {output}")


@app.command(epilog="Example: mlops status")
def status(env: Every = None, json: Json = False) -> None:
    """Show all environments: versions, metrics, deployments and traffic."""
    from mlops.status import status_of

    with session(json) as s:
        names = [env] if env else s.project.environments
        found = [status_of(s.workspace(name)) for name in names]
        s.console.result(found)
        say_status(s.console, found)


@app.command(epilog="Example: mlops ui --env dev")
def ui(env: Env = None, json: Json = False) -> None:
    """Open the workspace's experiment tracking page (locally: MLflow) until Ctrl-C."""
    from mlops.workspaces.local.processes import call

    with session(json) as s:
        workspace = s.workspace(env)
        address, command = workspace.user_interface()
        s.console.result({"address": address, "command": command})
        hint = " (in a few seconds; Ctrl-C ends it)" if command else ""
        s.console.say(f"{workspace.environment.name}: {address}{hint}")
        if command and not json:
            variables = {
                **os.environ,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "PYTHONWARNINGS": "ignore",
            }
            with contextlib.suppress(KeyboardInterrupt):
                raise typer.Exit(call(command, variables))


@app.command(epilog="Example: mlops demo")
def demo(env: Env = None, json: Json = False) -> None:
    """Run the whole loop on this machine, from training to predictions, and say what happened."""
    from mlops import demo as loop

    os.environ["MLOPS_LOCAL"] = "1"
    with session(json) as s:
        last = env or s.project.environments[-1]
        s.project.environment(last)
        account = loop.run(s.project, s.workspace, last, report=s.console.progress)
        s.console.result(account.record())
        for line in account.lines():
            s.console.say(line)


app.add_typer(data_commands, name="data")
app.add_typer(workspaces, name="workspaces")
app.command(epilog="Example: mlops update --branch")(update)


def main() -> None:
    """The `mlops` command."""
    app()
