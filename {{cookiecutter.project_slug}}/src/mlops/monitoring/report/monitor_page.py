"""The page of a monitor's result: what is wrong first, then everything that it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.decisions import Decision
from mlops.monitoring.alarm import Alarm
from mlops.monitoring.report import sections
from mlops.monitoring.report.columns import Column, columns_of, signals_of
from mlops.monitoring.report.features import OPEN_AT_MOST, feature_details, overview
from mlops.monitoring.report.history import done_section, events_of
from mlops.monitoring.report.icons import sign
from mlops.monitoring.report.lines import Event
from mlops.monitoring.report.markup import Html, html, tag
from mlops.monitoring.report.method import method_section
from mlops.monitoring.report.numbers import count, plural
from mlops.monitoring.report.parts import Section, facts, name_of, page, time_tag
from mlops.monitoring.report.words import SIGNALS
from mlops.monitoring.report.wrong import cards, verdict, wrong_section
from mlops.monitoring.results import MonitorResult

# A page stays under 1 MB: features get charts as long as these are not larger than this.
BYTES_OF_DETAILS = 600_000
DETAILED_AT_MOST = 60


def monitor_page(
    result: MonitorResult,
    decisions: Sequence[Decision] = (),
    *,
    alarms: Sequence[Alarm] = (),
    title: str = "",
) -> str:
    """One HTML page of what a monitor found.

    Args:
        result: what the monitor found.
        decisions: those about the model that the page tells, in any order and of any environment;
            the monitors' own are left out.
        alarms: those that are open.
        title: what the model is called by people; default: its name.
    """
    columns = columns_of(result)
    events = events_of(decisions, result)
    detailed = _details(columns, events)
    state, said = verdict(result, alarms)
    name = title or result.model
    masthead = html(
        tag("p", f"Monitor of {result.environment}", class_="eyebrow"),
        tag("h1", name_of(name, "model"), html(" ", tag("small", f"version {result.version}"))),
        tag("p", sign(state), tag("span", said), class_=f"verdict {state}"),
        facts(
            [
                *([("Model", name_of(result.model))] if title else []),
                ("Trained as", name_of(result.origin)),
                ("Endpoint", name_of(result.endpoint or "none")),
                ("Deployment", name_of(result.deployment or "none")),
                ("Computed", time_tag(result.made)),
            ]
        ),
        cards(result),
    )
    parts = [
        wrong_section(result, columns, alarms, len(detailed)),
        _features(result, columns, detailed),
        sections.predictions(result, events),
        sections.performance(result, events),
        sections.quality(result),
        sections.attribution(result, events),
        sections.endpoint(result.health),
        done_section(decisions),
        method_section(result),
    ]
    return page(
        f"{said} · {name}, version {result.version}, in {result.environment}",
        masthead,
        [part for part in parts if part is not None],
        html(
            "Made by ",
            tag("code", f"mlops monitor --env {result.environment}"),
            ", ",
            time_tag(result.made),
            ".",
        ),
    )


def _details(columns: Sequence[Column], events: Sequence[Event]) -> list[Html]:
    """The charts of the first features, as many as the page has room for."""
    made: list[Html] = []
    size = 0
    for column in columns[:DETAILED_AT_MOST]:
        is_open = column.state == "breached" and column.place <= OPEN_AT_MOST
        part = feature_details(column, events, is_open)
        size += len(part.encode("utf-8"))
        if size > BYTES_OF_DETAILS:
            break
        made.append(part)
    return made


def _features(
    result: MonitorResult, columns: Sequence[Column], detailed: Sequence[Html]
) -> Section | None:
    heads = [sections.signal_head(signal) for signal in signals_of(result, "data_drift")]
    if not columns and not heads:
        return None
    rest = len(columns) - len(detailed)
    more = None
    if rest:
        first = "those that are breached, then those that the answers rest on most"
        more = tag(
            "p",
            f"Charts of {plural(len(detailed), 'feature')}: {first}. The other {count(rest)} stand "
            "in the table alone.",
            class_="rest",
        )
    breached = sum(column.state == "breached" for column in columns)
    mark = tag("span", count(breached), class_="count") if breached else None
    every = overview(columns, len(detailed)) if columns else None
    content = html(heads, every, more, tag("div", detailed, class_="columns"))
    return Section("features", "Features", content, mark, SIGNALS["data_drift"][1])
