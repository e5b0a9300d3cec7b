"""The page of all environments: what is wrong, which model is where, and how it came there."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from mlops.decisions import Decision
from mlops.monitoring.report.environments import environment_section, origin_text, signal_of
from mlops.monitoring.report.history import time_of
from mlops.monitoring.report.icons import sign
from mlops.monitoring.report.markup import Content, Html, html, tag
from mlops.monitoring.report.numbers import (
    NOTHING,
    SPACE,
    THIN,
    count,
    listed,
    plural,
)
from mlops.monitoring.report.parts import (
    Section,
    card,
    name_of,
    page,
    table,
    time_tag,
)
from mlops.monitoring.report.words import decision_title, verdict_text
from mlops.monitoring.report.wrong import check_text
from mlops.monitoring.results import State
from mlops.status import Overview

ORIGINS_SHOWN = 12


def status_page(found: Sequence[Overview], *, made: datetime.datetime, title: str = "") -> str:
    """One HTML page of all environments, in the order in which a model goes through them."""
    troubles = [trouble for overview in found for trouble in _troubles(overview)]
    name = title or next((v["name"] for o in found for v in o.state["versions"]), "Model")
    served = [overview.state["environment"] for overview in found if overview.in_use is not None]
    empty = [overview.state["environment"] for overview in found if overview.in_use is None]
    state: State = "breached" if troubles else "fine" if served else "unknown"
    environments = list(dict.fromkeys(environment for environment, _ in troubles))
    said = {
        "breached": f"Needs a look: {listed(environments)}",
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
        *(environment_section(overview, place) for place, overview in enumerate(found)),
    ]
    footer = html("Made by ", tag("code", "mlops status --html"), ", ", time_tag(made), ".")
    return page(f"{said} · {name}", masthead, [part for part in parts if part], footer)


Trouble = tuple[str, Html]


def _troubles(overview: Overview) -> list[Trouble]:
    """What is wrong in an environment."""
    name = overview.state["environment"]
    return [
        (name, _trouble(decision, f"{title} in {name}: {verdict_text(decision)}"))
        for decision in overview.troubles
        for title in (
            signal_of(decision) if decision.kind == "monitor" else decision_title(decision.kind),
        )
    ]


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
    said: Content = "no version in use" if overview.state["versions"] else "no version yet"
    if version:
        said = html("version ", tag("b", str(version["version"])), origin_text(version, overview))
    word = {"fine": "Fine", "unknown": "Not monitored", "breached": "Refused"}[overview.condition]
    if any(not result.accepted for result in overview.monitors.values()):
        word = "Alarm"
    return card(
        overview.condition, overview.state["environment"], f"environment-{place}", said,
        _reached(overview), word,
    )  # fmt: skip


def _reached(overview: Overview) -> str:
    """What of the newest version is known here."""
    versions = overview.state["versions"]
    if not versions:
        return ""
    newest, used = versions[-1], overview.in_use
    if used is None or newest["version"] == used["version"]:
        return f"{plural(len(versions), 'version')}; the newest is in use"
    return f"{plural(len(versions), 'version')}; the newest, {newest['version']}, is not in use"


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
        said += [f"{SPACE}★", tag("span", " champion", class_="unseen")]
    traffic = overview.traffic.get(version)
    if traffic:
        said.append(f", {traffic}{THIN}% of the traffic")
    return html(said)
