"""The latency of our scoring script, against a bare one and against `mlflow models serve`.

    python benchmarks/scoring.py [SECONDS]

Three servers at once, one client that asks them in turn, in blocks of the same requests:

    ours    mlops/scoring/online.py on azureml-inference-server-http
    bare    predict_only.py on the same server
    mlflow  mlflow models serve --env-manager local

Goals: ours at most 1.2 times bare, and ahead of mlflow, at p50 and p95. Ours does more: it
checks each value against the contract and answers with `predict_proba`, the others `predict`.
"""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from common import (
    HOST,
    SCRIPTS,
    Server,
    free_port,
    generated_project,
    machine,
    progress,
    ratio,
    running,
    table,
    timed,
    variables,
)

GOAL = 1.2
BLOCKS = {1: 40, 100: 20}  # rows of a request: requests in a block
REQUESTS = 50  # different requests of each size


def requests_of(project: Path) -> dict[int, list[list[dict[str, Any]]]]:
    """Rows of the sample data, without what a client does not know."""
    contract = yaml.safe_load((project / "data/contract.yml").read_text("utf-8"))
    others = {contract[key] for key in ("target", "id", "timestamp") if contract.get(key)}
    features = [name for name in contract["columns"] if name not in others]
    sample = pd.read_parquet(project / "data/sample.parquet")[features]
    return {
        rows: [
            sample.sample(rows, random_state=number).to_dict("records")
            for number in range(REQUESTS)
        ]
        for rows in BLOCKS
    }  # fmt: skip


def start_servers(stack: contextlib.ExitStack, project: Path) -> dict[str, Server]:
    """The three servers with the model that `mlops train` registered."""
    timed([sys.executable, "-m", "mlops", "train"], folder=project, environment=variables(project))
    found = (project / ".mlops").glob("*/artifacts/*/artifacts/model/MLmodel")
    model, source = next(found).parent, project / "src"
    deployment = yaml.safe_load((project / "deployment/online/deployment.yml").read_text("utf-8"))
    # One thread for each: what the deployment sets for ours, the others get, too.
    environment = variables(
        project, AML_APP_ROOT=str(source), AZUREML_MODEL_DIR=str(model),
        GUNICORN_CMD_ARGS="--no-control-socket", PYTHONUNBUFFERED="1",
        **{key: str(value) for key, value in deployment["environment_variables"].items()},
    )  # fmt: skip
    azure = [sys.executable, str(source / "mlops/workspaces/local/inference_server.py")]
    scripts = {
        "ours": source / deployment["code_configuration"]["scoring_script"],
        "bare": Path(__file__).with_name("predict_only.py"),
    }
    servers = {}
    for name, script in scripts.items():
        port = free_port()
        servers[name] = stack.enter_context(
            running(
                [*azure, "--entry_script", str(script), "--port", str(port)], port,
                project=project, environment=environment, score="/score", health="/",
            )
        )  # fmt: skip
    port = free_port()
    servers["mlflow"] = stack.enter_context(
        running(
            [str(SCRIPTS / "mlflow"), "models", "serve", "--env-manager", "local",
             "--model-uri", str(model), "--host", HOST, "--port", str(port)], port,
            project=project, environment=environment, score="/invocations", health="/ping",
        )
    )  # fmt: skip
    return servers


def predictions(answer: bytes) -> list[str]:
    """The predicted classes of an answer of any of the three."""
    rows = json.loads(answer)["predictions"]
    return [str(row["prediction"] if isinstance(row, dict) else row) for row in rows]


def compare(servers: dict[str, Server], bodies: dict[str, dict[int, list[bytes]]]) -> None:
    """Ask each server for the same rows; the end of all if they do not answer the same."""
    for rows in BLOCKS:
        for number in range(REQUESTS):
            answers = [
                predictions(server.post(bodies[name][rows][number])[1])
                for name, server in servers.items()
            ]
            if answers.count(answers[0]) < len(answers):
                sys.exit(f"the servers disagree: {answers}")


def measure(
    servers: dict[str, Server], bodies: dict[str, dict[int, list[bytes]]], seconds: float
) -> dict[int, dict[str, list[list[float]]]]:
    """Milliseconds by rows and server: a list for each round."""
    times: dict[int, dict[str, list[list[float]]]] = {
        rows: {name: [] for name in servers} for rows in BLOCKS
    }
    started = time.monotonic()
    while (passed := time.monotonic() - started) < seconds or len(times[1]["ours"]) < 3:
        progress(f"{passed:.0f} of {seconds:.0f} s")
        for rows, count in BLOCKS.items():
            chosen = random.sample(range(REQUESTS), min(count, REQUESTS))
            for name in random.sample(list(servers), len(servers)):
                block = [servers[name].post(bodies[name][rows][n])[0] for n in chosen]
                times[rows][name].append(block)
    return times


def percentile(values: list[float], percent: int) -> float:
    """A percentile from 1 to 99."""
    return statistics.quantiles(values, n=100)[percent - 1]


def lines(times: dict[int, dict[str, list[list[float]]]]) -> list[list[str]]:
    """For each size and percentile: milliseconds, and ratios of all requests and of the rounds."""
    found = []
    for rows, by_server in times.items():
        for percent in (50, 95):
            rounds = {n: [percentile(block, percent) for block in v] for n, v in by_server.items()}
            pooled = {
                name: percentile([one for block in blocks for one in block], percent)
                for name, blocks in by_server.items()
            }
            ratios = [
                f"{pooled['ours'] / pooled[other]:.2f}; {ratio(rounds['ours'], rounds[other])}"
                for other in ("bare", "mlflow")
            ]
            name = f"{rows} row{'s' * (rows > 1)}, p{percent}"
            found.append([name, *(f"{value:.2f}" for value in pooled.values()), *ratios])
    return found


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    keys = {"ours": "input_data", "bare": "input_data", "mlflow": "dataframe_records"}
    with generated_project() as project, contextlib.ExitStack() as stack:
        requests = requests_of(project)
        bodies = {
            name: {
                rows: [json.dumps({key: request}).encode() for request in requests[rows]]
                for rows in BLOCKS
            }
            for name, key in keys.items()
        }
        servers = start_servers(stack, project)
        compare(servers, bodies)
        times = measure(servers, bodies, seconds)
    head = [
        *(f"{name} ms" for name in keys),
        f"ours / bare (goal {GOAL})",
        "ours / mlflow (goal < 1)",
    ]
    table(["request", *head], lines(times))
    print("ratios: of all requests; the median of the rounds' (their least to their greatest)")
    asked = {rows: sum(len(block) for block in v["ours"]) for rows, v in times.items()}
    print(", ".join(f"{n} requests of {rows} row(s) to each" for rows, n in asked.items()))
    machine()


if __name__ == "__main__":
    main()
