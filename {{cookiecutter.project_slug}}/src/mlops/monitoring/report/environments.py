"""An environment on the page of all of them: traffic, drift, gates and versions."""

from __future__ import annotations

from mlops.clock import parse
from mlops.decisions import Decision
from mlops.errors import UsageError
from mlops.monitoring.alarm import SIGNAL
from mlops.monitoring.report.history import checks_table, decision_item, time_of
from mlops.monitoring.report.icons import sign
from mlops.monitoring.report.markup import Content, Html, html, tag
from mlops.monitoring.report.meter import share_meter
from mlops.monitoring.report.numbers import NOTHING, THIN, count, moment, number, plural
from mlops.monitoring.report.parts import Section, details, facts, name_of, table, time_tag
from mlops.monitoring.report.words import SIGNALS, metric_of, spoken
from mlops.status import Overview

VERSIONS_SHOWN = 12


def environment_section(overview: Overview, place: int) -> Section:
    """All of an environment; `place` is its number on the page."""
    state = overview.state
    blocks: list[Content] = [
        _traffic(overview),
        tag("h3", "Drift and endpoint"),
        _monitors(overview),
        tag("h3", "Gates and tests"),
        _decisions(overview),
    ]
    if state["versions"]:
        blocks += [tag("h3", "Versions"), _versions(overview)]
    return Section(
        f"environment-{place}", state["environment"], html(blocks), sign(overview.condition)
    )


def _traffic(overview: Overview) -> Html:
    """The deployments of the endpoint and their shares of the traffic."""
    endpoint = overview.state["endpoint"]
    champion = overview.state["champion"]
    known: list[tuple[str, Content]] = []
    if champion:
        known.append(
            ("Champion", f"version {champion['version']}{origin_text(champion, overview)}")
        )
        if champion["batch"]:
            known.append(("Test in batches", champion["batch"]))
    else:
        known.append(("Champion", "none yet"))
    if endpoint is None:
        return facts([*known, ("Online endpoint", "none in this environment")])
    known.append(("Online endpoint", name_of(endpoint["name"])))
    deployments = endpoint["deployments"]
    rows = [
        (
            name_of(d["name"]),
            str(d["version"]),
            html(f"{d['traffic']}{THIN}%", share_meter(d["traffic"] / 100)),
            f"{d['mirror']}{THIN}%" if d["mirror"] else NOTHING,
            _when(d["created"]),
        )
        for d in deployments
    ]
    head = ("Deployment", "Version", "Traffic", "Mirrored", "Made")
    return html(
        facts(known),
        table("Traffic of the endpoint", head, rows, numbers=(1, 2, 3), wide=True)
        if rows
        else tag("p", "The endpoint has no deployment.", class_="rest"),
    )


def _monitors(overview: Overview) -> Html:
    """The newest result of each signal about the version in use."""
    name = overview.state["environment"]
    if not overview.monitors:
        command = tag("code", f"mlops monitor --env {name}")
        return tag("p", sign("unknown"), " No result here: ", command, class_="rest")
    items = []
    for result in overview.monitors.values():
        failed = [check for check in result.checks if not check.passed]
        time = time_of(result)
        said = f"{count(len(failed))} of {plural(len(result.checks), 'check')} failed"
        said = "within its limits" if result.accepted else said
        summary = html(
            sign("fine" if result.accepted else "breached"),
            tag("span", signal_of(result), class_="title"),
            tag("span", said, ", ", time_tag(time) if time else result.time, class_="measure"),
        )  # fmt: skip
        checks = checks_table(f"Checks of {signal_of(result)}", result.checks)
        items.append(details(summary, checks, kind="column"))
    return tag("div", items, class_="columns")


def _decisions(overview: Overview) -> Html:
    """The newest decision of each kind, the newest first."""
    newest = sorted(overview.newest.values(), key=lambda decision: decision.time, reverse=True)
    if not newest:
        return tag("p", "Nothing has been decided here yet.", class_="rest")
    return tag("ol", (tag("li", decision_item(decision)) for decision in newest), class_="time")


def _versions(overview: Overview) -> Html:
    state = overview.state
    champion = (state["champion"] or {}).get("version")
    newest = list(reversed(state["versions"]))
    metrics = state["gate"]
    rows: list[tuple[Content, ...]] = []
    for version in newest[:VERSIONS_SHOWN]:
        star = (
            [" ★", tag("span", " champion", class_="unseen")]
            if version["version"] == champion
            else []
        )
        rows.append(
            (
                html(str(version["version"]), *star),
                name_of(version["origin"]),
                *(number(version["metrics"].get(metric), 4) for metric in metrics),
                version["batch"] or NOTHING,
                version["rollout"] or NOTHING,
                _when(version["created"]),
                tag("code", _commit(version)),
            )
        )
    head = ("Version", "Trained as", *(metric_of(metric).name for metric in metrics), "Batch test",
            "Rollout", "Registered", "Commit")  # fmt: skip
    older = len(newest) - len(rows)
    caption = "Metrics on the held-out rows" + (
        f"; {count(older)} older not shown" if older > 0 else ""
    )
    return table(caption, head, rows, numbers=range(2, 2 + len(metrics)), wide=True)


def _commit(version: dict[str, str]) -> str:
    commit = version["git_commit"]
    if commit in ("", "unknown", "no commit"):
        return "no commit"
    return commit[:8] + ("+" if version["git_dirty"] == "true" else "")


def signal_of(result: Decision) -> str:
    """What the signal of a monitor's result is called."""
    name = str(result.facts.get(SIGNAL, ""))
    return SIGNALS[name][0] if name in SIGNALS else spoken(name)


def _when(text: str) -> str:
    try:
        return moment(parse(text, "time"))
    except UsageError:
        return text or NOTHING


def origin_text(version: dict[str, object], overview: Overview) -> str:
    """Where a version was trained, unless that was here."""
    home = f"{overview.state['environment']}/{version['version']}"
    return "" if version["origin"] == home else f", trained as {version['origin']}"
