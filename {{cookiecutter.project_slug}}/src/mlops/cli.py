"""The command line: parse, call, print; nothing else.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused by a rule.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from mlops import handover, release_commands
from mlops.ci_commands import compare
from mlops.connect_commands import connect_commands
from mlops.console import relative
from mlops.data_commands import data_commands
from mlops.errors import MlopsError, Refused, UsageError
from mlops.monitoring_commands import alarms, monitor
from mlops.options import Env, Every, Json
from mlops.retraining_commands import retrain
from mlops.session import session
from mlops.upkeep import settings_of, update, workspaces
from mlops.views import say_decision, say_status, write_status_page

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
    from mlops.summaries import card_summary, decision_summary

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
        handover.summarize(decision_summary(done.decision))
        handover.summarize(card_summary(done.card.read_text(encoding="utf-8")))
        if done.version is None:
            failed, all_checks = len(done.decision.refusals), len(done.decision.checks)
            raise Refused(
                f"the gate refused the model ({failed} of {all_checks} checks failed); "
                "docs/runbook.md says what that means"
            )
        registered = done.version.tags.get("job") == done.job.name
        if registered:
            s.console.say(f"registered {done.version} in {done.decision.environment}")
        else:
            champion = workspace.champion()
            s.console.say(f"nothing new: this is {done.version}, registered already")
            s.console.say(f"the champion of {done.decision.environment}: {champion or 'none'}")
        handover.publish(
            {
                "version": done.version.origin,
                "digest": done.version.digest,
                "registered": registered,
            }
        )


for command, example in (
    (release_commands.release, "mlops release --env staging --version dev/7"),
    (release_commands.promote, "mlops promote --from dev --to staging"),
    (release_commands.deploy, "mlops deploy --env staging"),
    (release_commands.test, "mlops test --env staging"),
    (release_commands.rollout, "mlops rollout --env prod"),
    (release_commands.rollback, "mlops rollback --env prod"),
):
    app.command(epilog=f"Example: {example}")(command)


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


@app.command(epilog="Example: mlops status --html status.html")
def status(
    env: Every = None,
    html: Annotated[
        Optional[Path], typer.Option(help="Write a page with all of it, and drift, to this file.")
    ] = None,
    json: Json = False,
) -> None:
    """Show all environments: versions, metrics, deployments and traffic."""
    from mlops.status import overview_of

    with session(json) as s:
        names = [env] if env else s.project.environments
        found = [overview_of(s.workspace(name)) for name in names]
        s.console.result([overview.state for overview in found])
        say_status(s.console, [overview.state for overview in found])
        if html:
            write_status_page(html, found, s.project.environment(names[-1]).settings.model)
            s.console.say(f"the page: {relative(html)}")


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


@app.command(epilog="Example: mlops demo --drift")
def demo(
    env: Env = None,
    drift: Annotated[
        bool, typer.Option("--drift", help="Play public data that drifts, up to a retraining.")
    ] = False,
    json: Json = False,
) -> None:
    """Run the whole loop on this machine, from training to predictions, and say what happened."""
    from mlops import demo as loop
    from mlops import drift_demo

    os.environ["MLOPS_LOCAL"] = "1"
    with session(json) as s:
        if drift:
            if env:
                raise UsageError("--drift plays in all environments; leave --env out")
            played = drift_demo.run(s.project, report=s.console.progress)
            s.console.result(played.record())
            s.console.table(played.head(), played.rows())
            for line in played.lines():
                s.console.say(line)
            return
        last = env or s.project.environments[-1]
        s.project.environment(last)
        account = loop.run(s.project, s.workspace, last, report=s.console.progress)
        s.console.result(account.record())
        for line in account.lines():
            s.console.say(line)


app.add_typer(data_commands, name="data")
app.add_typer(workspaces, name="workspaces")
app.add_typer(connect_commands, name="connect")
app.command(epilog="Example: mlops update --branch")(update)
app.command(epilog="Example: mlops compare --base origin/main")(compare)
app.command(epilog="Example: mlops monitor --env prod")(monitor)
app.command(epilog="Example: mlops retrain --env prod --release")(retrain)
app.command(epilog="Example: mlops alarms --on github --input alarms.json")(alarms)


def main() -> None:
    """The `mlops` command."""
    app()
