"""The page of all environments: what is wrong, which model is where, and how it came there."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from mlops.clock import parse
from mlops.decisions import Decision
from mlops.errors import UsageError
from mlops.monitoring.alarm import SIGNAL
from mlops.monitoring.report.history import checks_table, decision_item, time_of
from mlops.monitoring.report.icons import badge, sign
from mlops.monitoring.report.markup import Content, Html, html, tag
from mlops.monitoring.report.meter import share_bar
from mlops.monitoring.report.numbers import NOTHING, THIN, count, listed, moment, number, plural
from mlops.monitoring.report.parts import (
    Section,
    details,
    facts,
    name_of,
    page,
    table,
    time_tag,
)
from mlops.monitoring.report.words import SIGNALS, decision_title, metric_of, spoken
from mlops.monitoring.report.wrong import check_text
from mlops.monitoring.results import State
from mlops.status import Overview

VERSIONS_SHOWN = 12
ORIGINS_SHOWN = 12
CONDITIONS: dict[State, str] = {"fine": "Fine", "breached": "Wrong", "unknown": "Not monitored"}


def status_page(found: Sequence[Overview], *, made: datetime.datetime, title: str = "") -> str:
    """One HTML page of all environments, in the order in which a model goes through them."""
    troubles = [trouble for overview in found for trouble in _troubles(overview)]
    name = title or next((v["name"] for o in found for v in o.state["versions"]), "Model")
    served = [overview.state["environment"] for overview in found if overview.in_use is not None]
    empty = [overview.state["environment"] for overview in found if overview.in_use is None]
    state: State = "breached" if troubles else "fine" if served else "unknown"
    environments = list(dict.fromkeys(environment for environment, _ in troubles))
    said = {
        "breached": f"Something is wrong in {listed(environments)}",
        "fine": f"Nothing is known to be wrong in {listed(served)}",
        "unknown": "No environment has a version in use yet",
    }[state]
    masthead = html(
        tag("p", "Status of all environments", class_="eyebrow"),
        tag("h1", name_of(name, "model")),
        tag("p", sign(state), tag("span", said), class_=f"verdict {state}"),
        tag("p", f"Without a version in use: {listed(empty)}.") if served and empty else None,
        tag("ul", (_card(overview, place) for place, overview in enumerate(found)), class_="cards"),
    )
    parts = [
        _wrong(troubles),
        _where(found),
        *(_environment(overview, place) for place, overview in enumerate(found)),
    ]
    footer = html("Made by ", tag("code", "mlops status --html"), ", ", time_tag(made), ".")
    return page(f"{said} · {name}", masthead, [part for part in parts if part], footer)


Trouble = tuple[str, Html]


def _troubles(overview: Overview) -> list[Trouble]:
    """What is wrong in an environment: results that are alarms, and newest decisions that refused."""
    name = overview.state["environment"]
    found: list[Trouble] = []
    for result in overview.monitors.values():
        if not result.accepted:
            found.append((name, _trouble(result, f"{_signal(result)} in {name}")))
    for decision in overview.newest.values():
        if not decision.accepted:
            found.append((name, _trouble(decision, f"{decision_title(decision.kind)} in {name}")))
    return found


def _trouble(decision: Decision, title: str) -> Html:
    failed = [check for check in decision.checks if not check.passed]
    more = len(failed) - 3
    time = time_of(decision)
    return tag(
        "li",
        sign("breached"),
        tag(
            "div",
            tag(
                "p", tag("b", title), f", version {decision.version}" if decision.version else None
            ),
            tag(
                "ul",
                (tag("li", *check_text(check)) for check in failed[:3]),
                tag("li", f"and {count(more)} more") if more > 0 else None,
                class_="reasons",
            ),
            tag("p", time_tag(time) if time else decision.time, class_="window"),
        ),
    )


def _wrong(troubles: Sequence[Trouble]) -> Section:
    if not troubles:
        said = "No monitor's newest result is an alarm, and no newest decision is a refusal."
        return Section("wrong", "What was found", tag("p", said))
    items = tag("ul", (item for _, item in troubles), class_="wrongs")
    mark = tag("span", count(len(troubles)), class_="count")
    return Section("wrong", "What is wrong", items, mark)


def _card(overview: Overview, place: int) -> Html:
    """An environment at a glance."""
    version = overview.in_use
    said: Content = "no version yet" if not overview.state["versions"] else "no version in use"
    if version:
        said = html("version ", tag("b", str(version["version"])), _origin(version, overview))
    return tag(
        "li",
        badge(overview.condition, CONDITIONS[overview.condition]),
        tag("a", overview.state["environment"], href=f"#environment-{place}"),
        tag("p", said),
        tag("p", _reached(overview), class_="window"),
        class_=f"card {overview.condition}",
    )


def _reached(overview: Overview) -> str:
    """What of the newest version is known here."""
    versions = overview.state["versions"]
    if not versions:
        return NOTHING
    newest, used = versions[-1], overview.in_use
    if used is None or newest["version"] == used["version"]:
        return f"{plural(len(versions), 'version')}; the newest is in use"
    return f"{plural(len(versions), 'version')}; the newest, {newest['version']}, is not in use"


def _origin(version: dict[str, object], overview: Overview) -> str:
    home = f"{overview.state['environment']}/{version['version']}"
    return "" if version["origin"] == home else f", trained as {version['origin']}"


def _where(found: Sequence[Overview]) -> Section | None:
    """A row for each trained model, a column for each environment."""
    origins: dict[str, str] = {}
    for overview in found:
        for version in overview.state["versions"]:
            known = origins.get(version["origin"], version["created"])
            origins[version["origin"]] = min(known, version["created"])
    if not origins:
        return None
    newest = sorted(origins, key=lambda origin: origins[origin], reverse=True)
    rows = [
        (name_of(origin), *(_place(overview, origin) for overview in found))
        for origin in newest[:ORIGINS_SHOWN]
    ]
    head = ("Trained as", *(overview.state["environment"] for overview in found))
    older = len(newest) - len(rows)
    content = html(
        table("Which model is where", head, rows, wide=True, quiet=True),
        tag("p", "★ the champion: the last version that passed all tests of the environment.",
            f" {plural(older, 'older model')} not shown." if older > 0 else None, class_="rest"),
    )  # fmt: skip
    return Section("where", "Which model is where", content)


def _place(overview: Overview, origin: str) -> Content:
    """What a model is in an environment: its newest version there, champion, traffic."""
    versions = [v for v in overview.state["versions"] if v["origin"] == origin]
    if not versions:
        return NOTHING
    version = versions[-1]["version"]
    said: list[Content] = [f"version {version}"]
    champion = overview.state["champion"]
    if champion and champion["version"] == version:
        said += [" ★", tag("span", " champion", class_="unseen")]
    traffic = overview.traffic.get(version)
    if traffic:
        said.append(f", {traffic}{THIN}% of the traffic")
    return html(said)


def _environment(overview: Overview, place: int) -> Section:
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
        known.append(("Champion", f"version {champion['version']}{_origin(champion, overview)}"))
        if champion["batch"]:
            known.append(("Test in batches", champion["batch"]))
    else:
        known.append(("Champion", "none yet"))
    if endpoint is None:
        return facts([*known, ("Online endpoint", "none in this environment")])
    known.append(("Online endpoint", name_of(endpoint["name"])))
    deployments = endpoint["deployments"]
    shares = [
        (d["traffic"] / 100, f"part part-{n % 3}")
        for n, d in enumerate(deployments)
        if d["traffic"]
    ]
    rows = [
        (
            name_of(d["name"]),
            str(d["version"]),
            f"{d['traffic']}{THIN}%",
            f"{d['mirror']}{THIN}%" if d["mirror"] else NOTHING,
            _when(d["created"]),
        )
        for d in deployments
    ]
    head = ("Deployment", "Version", "Traffic", "Mirrored", "Made")
    return html(
        facts(known),
        share_bar(shares) if shares else None,
        table("Traffic of the endpoint", head, rows, numbers=(1, 2, 3), wide=True)
        if rows
        else tag("p", "The endpoint has no deployment.", class_="rest"),
    )


def _monitors(overview: Overview) -> Html:
    """The newest result of each signal about the version in use."""
    name = overview.state["environment"]
    if not overview.monitors:
        command = tag("code", f"mlops monitor --env {name}")
        return tag("p", sign("unknown"), " No result here: ", command, ".", class_="state")
    items = []
    for result in overview.monitors.values():
        failed = [check for check in result.checks if not check.passed]
        time = time_of(result)
        summary = html(
            sign("fine" if result.accepted else "breached"),
            tag("span", _signal(result), class_="title"),
            tag("span", "within its limits" if result.accepted else
                f"{count(len(failed))} of {plural(len(result.checks), 'check')} failed", class_="measure"),
            tag("span", time_tag(time) if time else result.time, class_="kind"),
        )  # fmt: skip
        checks = checks_table(f"Checks of {_signal(result)}", result.checks)
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
                *(number(version["metrics"].get(metric)) for metric in metrics),
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


def _signal(result: Decision) -> str:
    name = str(result.facts.get(SIGNAL, ""))
    return SIGNALS[name][0] if name in SIGNALS else spoken(name)


def _when(text: str) -> str:
    try:
        return moment(parse(text, "time"))
    except UsageError:
        return text or NOTHING
