"""What collecting costs a request: the same server with Azure's data collector, and without it.

    python benchmarks/collecting.py [SECONDS]

Two servers at once, one client that asks them the same, first the one or the other by chance. Both
run mlops/scoring/online.py on azureml-inference-server-http. What the one records goes to a third
process, as in Azure; it is counted at the end. The client asks without a pause: each server is busy
half of the time, and what it does beside its requests has to find its place between them.

Goal: at most 1.05 at p50 and at p95.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import yaml
from common import (
    HOST,
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
from scoring import BLOCKS, percentile, requests_of

GOAL = 1.05
SECONDS_IN_ROUND = 5.0
SECONDS_OF_SILENCE = 5.0  # all is recorded when nothing came for so long
Times = dict[int, dict[str, list[list[float]]]]  # milliseconds by rows, server and round
SINK = """
import sys
from pathlib import Path
from mlops.workspaces.local.collector import CollectedFiles, Sink
sink = Sink(CollectedFiles(Path(sys.argv[1]), "benchmark"), "with")
print(sink.port, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def sink(folder: Path, project: Path) -> Iterator[int]:
    """A process that takes the records, as one does in Azure; its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", SINK, str(folder)], env=variables(project),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()  # it ends with this process, however that ends
        process.wait()


def start_servers(stack: contextlib.ExitStack, project: Path, port: int) -> dict[str, Server]:
    """The two servers, with the model that `mlops train` registered."""
    timed([sys.executable, "-m", "mlops", "train"], folder=project, environment=variables(project))
    model = next((project / ".mlops").glob("*/artifacts/*/artifacts/model/MLmodel")).parent
    source = project / "src"
    deployment = yaml.safe_load((project / "deployment/online/deployment.yml").read_text("utf-8"))
    configuration = project.parent / "data_collector.json"
    enabled = {"enabled": True, "sampleRatePercentage": 100}
    collections = deployment["data_collector"]["collections"]
    configuration.write_text(json.dumps({"collections": dict.fromkeys(collections, enabled)}))
    collecting = {
        "AZUREML_MDC_CONFIG_PATH": str(configuration),
        "AZUREML_MDC_HOST": HOST, "AZUREML_MDC_PORT": str(port),
    }  # fmt: skip
    servers = {}
    for name, more in (("with", collecting), ("without", {})):
        port = free_port()
        environment = variables(
            project, AML_APP_ROOT=str(source), AZUREML_MODEL_DIR=str(model),
            GUNICORN_CMD_ARGS="--no-control-socket", PYTHONUNBUFFERED="1",
            **{key: str(value) for key, value in deployment["environment_variables"].items()},
            **more,
        )  # fmt: skip
        servers[name] = stack.enter_context(
            running(
                [sys.executable, str(source / "mlops/workspaces/local/inference_server.py"),
                 "--entry_script", str(source / deployment["code_configuration"]["scoring_script"]),
                 "--port", str(port)], port,
                project=project, environment=environment, score="/score", health="/",
            )
        )  # fmt: skip
    return servers


def measure(servers: dict[str, Server], bodies: dict[int, list[bytes]], seconds: float) -> Times:
    """Ask both servers for the same, for so many seconds with each size of request."""
    times: Times = {rows: {name: [] for name in servers} for rows in BLOCKS}
    for rows, by_server in times.items():
        started = time.monotonic()
        while (passed := time.monotonic() - started) < seconds:
            progress(f"{rows} row(s): {passed:.0f} of {seconds:.0f} s")
            for turns in by_server.values():
                turns.append([])
            while time.monotonic() < started + passed + SECONDS_IN_ROUND:
                body = random.choice(bodies[rows])
                for name in random.sample(list(servers), len(servers)):
                    by_server[name][-1].append(servers[name].post(body)[0])
    return times


def wait_for_silence(folder: Path) -> None:
    """Wait until nothing is recorded any more."""
    size, since = -1, time.monotonic()
    while time.monotonic() < since + SECONDS_OF_SILENCE:
        time.sleep(0.2)
        now = sum(file.stat().st_size for file in folder.rglob("*.jsonl"))
        if now != size:
            size, since = now, time.monotonic()


def recorded(folder: Path) -> int:
    """How many rows were recorded, each with its answer."""
    found: dict[str, dict[str, int]] = {"model_inputs": {}, "model_outputs": {}}
    for collection, records in found.items():
        for file in folder.rglob(f"{collection}/**/*.jsonl"):
            for line in file.read_text("utf-8").splitlines():
                record = json.loads(line)
                records[record["correlationid"]] = len(record["data"])
    inputs, outputs = found.values()
    if inputs != outputs:
        sys.exit(f"inputs and outputs do not join: {len(inputs)} and {len(outputs)} records")
    return sum(inputs.values())


def lines(times: Times) -> list[list[str]]:
    """For each size and percentile: milliseconds, and ratios of all requests and of the rounds."""
    found = []
    for rows, by_server in times.items():
        for percent in (50, 95, 99):
            rounds = {n: [percentile(turn, percent) for turn in v] for n, v in by_server.items()}
            pooled = {
                name: percentile([one for turn in turns for one in turn], percent)
                for name, turns in by_server.items()
            }
            found.append(
                [
                    f"{rows} row{'s' * (rows > 1)}, p{percent}",
                    *(f"{value:.2f}" for value in pooled.values()),
                    f"{pooled['with'] / pooled['without']:.3f}",
                    ratio(rounds["with"], rounds["without"]),
                ]
            )
    return found


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with generated_project() as project, contextlib.ExitStack() as stack:
        folder = project.parent / "collected"
        bodies = {
            rows: [json.dumps({"input_data": request}).encode() for request in requests]
            for rows, requests in requests_of(project).items()
        }
        port = stack.enter_context(sink(folder, project))
        servers = start_servers(stack, project, port)
        times = measure(servers, bodies, seconds)
        wait_for_silence(folder)
        found = recorded(folder)
    head = ["with ms", "without ms", f"with / without (goal {GOAL})", "of the rounds"]
    table(["request", *head], lines(times))
    asked = {rows: sum(map(len, by_server["with"])) for rows, by_server in times.items()}
    wanted = sum(rows * count for rows, count in asked.items())
    print(f"{found} of {wanted} rows asked were recorded with their answers")
    print(", ".join(f"{n} requests of {rows} row(s) to `with`" for rows, n in asked.items()))
    machine()


if __name__ == "__main__":
    main()
