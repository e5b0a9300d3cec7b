"""The pages of a monitor's result and of all environments, as text."""

from __future__ import annotations

import datetime
import re
from html.parser import HTMLParser

import pytest

from mlops.decisions import Check
from mlops.monitoring.alarm import Alarm
from mlops.monitoring.report import monitor_page, status_page
from mlops.monitoring.report.markup import html, tag
from mlops.monitoring.report.numbers import chance, number, share, short, span
from mlops.monitoring.results import (
    Distribution,
    FeatureResult,
    MetricResult,
    MonitorResult,
    Point,
)
from tests import monitor_examples as examples

VOID = {"meta", "link", "br", "hr", "col"}
UTC = datetime.timezone.utc


class Page(HTMLParser):
    """A page that was read: it must close what it opens, and name nothing twice."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


DRIFT = monitor_page(examples.classification(), examples.decisions())
PAGES = {
    "drift": DRIFT,
    "fine": monitor_page(examples.regression()),
    "unknown": monitor_page(examples.unknown()),
    "empty": monitor_page(examples.empty()),
    "hostile": monitor_page(examples.hostile(), examples.hostile_decisions(), title="<b>"),
    "status": status_page(examples.environments(), made=examples.MADE),
    "nothing": status_page(examples.new_environments(), made=examples.MADE),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_leads_nowhere_else(name: str) -> None:
    page = Page(PAGES[name])
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a["href"] or "" for a in [*page.named("a"), *page.named("use")]]
    assert {link[1:] for link in links} <= set(ids)
    assert all(link.startswith("#") for link in links)
    assert {"script", "img", "iframe", "object", "form"} & {
        tag for tag, _ in page.elements
    } == set()
    assert not re.search(r"https?:|url\(|@import", PAGES[name])
    assert [a["lang"] for a in page.named("html")] == ["en"]
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert len(page.named(landmark)) == 1, landmark
    assert len(PAGES[name].encode()) < 1_000_000


@pytest.mark.parametrize("name", PAGES)
def test_every_table_has_a_caption_and_named_rows_and_columns(name: str) -> None:
    tables = re.findall(r"<table>.*?</table>", PAGES[name], re.S)
    for table in tables:
        assert re.match(r"<table><caption[^>]*>[^<]", table), table[:200]
        columns = table.count('<th scope="col"')
        rows = re.findall(r"<tr>(.*?)</tr>", table, re.S)
        assert columns >= 2
        for row in rows[1:]:
            assert row.startswith('<th scope="row"')
            assert row.count("<td") == columns - 1
    for chart in re.findall(r'<svg role="img".*?</svg>', PAGES[name], re.S):
        assert re.match(r"<svg [^>]*><title>[^<]+</title><desc>[^<]+</desc>", chart), chart[:200]
    assert tables or name in ("empty", "nothing")


@pytest.mark.parametrize("name", examples.HOSTILE)
def test_a_name_is_text_whatever_it_holds(name: str) -> None:
    made = tag("p", name, title=name)
    assert re.fullmatch(r'<p title="[^"<>]*">[^<>]*</p>', made), made
    made.encode("utf-8")
    page = Page(made)
    kept = re.sub("[\u202e\u2066\x00\x1b\ud800]", "\N{REPLACEMENT CHARACTER}", name)
    assert "".join(page.text) == kept
    assert html(made) == made, "what is HTML already is not escaped again"


def test_hostile_names_change_no_element() -> None:
    page = Page(PAGES["hostile"])
    allowed = {
        "html", "head", "meta", "title", "link", "style", "body", "header", "nav", "main", "footer",
        "section", "div", "p", "h1", "h2", "h3", "a", "ul", "ol", "li", "dl", "dt", "dd", "span",
        "b", "bdi", "small", "code", "time", "table", "caption", "thead", "tbody", "tr", "th", "td",
        "details", "summary", "figure", "figcaption", "svg", "symbol", "use", "desc", "g", "text",
        "rect", "line", "path", "circle", "polyline",
    }  # fmt: skip
    assert {tag for tag, _ in page.elements} <= allowed
    names = {name for _, attributes in page.elements for name in attributes}
    assert not any(name.startswith("on") for name in names), names
    assert "style" not in names


def test_what_is_wrong_comes_before_the_rest() -> None:
    page = Page(DRIFT)
    order = [attributes["id"] for attributes in page.named("section")]
    assert order == [
        "wrong", "features", "predictions", "performance", "quality", "attribution", "endpoint",
        "done", "method",
    ]  # fmt: skip
    wrong = Page(DRIFT[DRIFT.index('<section id="wrong"') : DRIFT.index('<section id="features"')])
    # Feature, what happened, value, threshold, since when.
    assert "mean_radius The mean rose from 17.5 to 23.8 pixels." in wrong.words
    assert "Jensen-Shannon distance 0.356 , at most 0.2, since 11 May (2" in wrong.words
    assert "The share of “benign” fell from 63.4" in wrong.words
    assert "6.4 % of the values are missing, 0 % in the reference." in wrong.words
    assert "Accuracy fell to 0.818; it was 0.955 in the reference." in wrong.words
    assert "error rate: 0.01415 , at most 0.01" in wrong.words
    assert "17 requests were collected twice and count once" in wrong.words
    # Among the features, too, what is breached is first.
    rows = re.findall(r'<th scope="row">.*?</td>', DRIFT[DRIFT.index('id="features"') :])
    states = ["breached" in row for row in rows[:30]]
    assert states == sorted(states, reverse=True)
    assert sum(states) == 4


def test_a_breach_of_every_metric_is_said_in_words() -> None:
    result = examples.classification()
    texts = {
        "null_value_rate": "of the values are missing",
        "data_type_error_rate": "have another type than the column",
        "out_of_bounds_rate": "lie outside the range",
        "normalized_discounted_cumulative_gain": "The answers rest on other features than before",
        "jensen_shannon_distance": "distributed differently",
    }
    for name, words in texts.items():
        bad = MetricResult(name=name, value=0.5, threshold=0.1, breached=True)
        feature = FeatureResult(name="x", kind="numerical", state="breached", metrics=(bad,))
        signal = result.signals[0].model_copy(update={"state": "breached", "features": (feature,)})
        page = Page(monitor_page(result.model_copy(update={"signals": (signal,)})))
        assert words in page.words, name


def test_each_state_is_said_in_words() -> None:
    fine, unknown = Page(PAGES["fine"]), Page(PAGES["unknown"])
    assert "Nothing is wrong, but nothing can be said of model performance" in fine.words
    assert "says nothing: no label has arrived for the 1,203 answers of this window." in fine.words
    assert "Breached" not in fine.words
    assert "Nothing can be said yet" in unknown.words
    assert "Data drift says nothing: 12 rows, 50 needed." in unknown.words
    assert "Endpoint health says nothing: no request in the window." in unknown.words
    assert "A window of fewer than 50 rows says nothing." in unknown.words
    assert "Breached: data drift, prediction drift, data quality" in Page(DRIFT).words


def test_alarms_say_whether_a_training_starts() -> None:
    alarms = [
        Alarm(key="m/prod/data_drift", title="prod: data_drift", body="", retrain=True),
        Alarm(key="m/prod/endpoint", title="prod: endpoint", body=""),
    ]
    page = Page(monitor_page(examples.classification(), alarms=alarms))
    assert "prod: data_drift : it asks for a training." in page.words
    assert "prod: endpoint : it asks for no training." in page.words


def test_what_was_done_is_told_with_its_reasons() -> None:
    done = Page(DRIFT[DRIFT.index('<section id="done"') : DRIFT.index('<section id="method"')])
    told = ("Gate in dev", "Retraining in prod", "Rollout in prod", "Promotion in prod")
    places = [done.words.index(title) for title in told]
    assert places == sorted(places), "the newest is first"
    assert "refused version 9" in done.words
    assert "ROC AUC: 0.9412 , at least 0.98 (95 % interval 0.9871 to 0.9968)" in done.words
    assert "alarm of data_drift: breached" in done.words
    # The charts say when the version took over.
    assert DRIFT.count('class="event">version 4<') > 10
    assert "No training, promotion, rollout or rollback has been recorded." in PAGES["fine"]


def test_200_features_over_10_windows_stay_under_1_mb() -> None:
    for windows in (10, 60):
        result = examples.classification(200, windows)
        page = monitor_page(result, examples.decisions())
        assert len(page.encode()) < 1_000_000
        read = Page(page)
        rows = page[page.index('id="features"') : page.index('<div class="columns">')]
        assert rows.count('<th scope="row">') == 200
        detailed = len(read.named("details"))
        assert detailed > 20
        assert "mean_texture" in page
        assert re.search(r"Charts of \d+.features: those that are breached, then", page)


def test_the_most_breached_features_and_the_longest_names_stay_under_1_mb() -> None:
    result = examples.classification(200, 10)
    signals = []
    for signal in result.signals:
        features = tuple(
            f.model_copy(update={"name": f.name and f.name + "x" * 400, "state": "breached"})
            for f in signal.features
        )
        signals.append(signal.model_copy(update={"features": features}))
    huge = result.model_copy(update={"signals": tuple(signals), "problems": ("y" * 9000,) * 900})
    page = monitor_page(huge, examples.decisions() * 60)
    assert len(page.encode()) < 1_000_000
    assert "and 880 more" in page


def test_a_gap_in_the_history_is_a_gap_in_the_line() -> None:
    day = datetime.timedelta(days=1)
    points = tuple(
        Point(start=examples.MADE + n * day, end=examples.MADE + (n + 1) * day, rows=60, values=values)
        for n, values in enumerate(({"psi": 0.1}, {"psi": 0.2}, {"psi": None}, {}, {"psi": 0.1}, {"psi": 0.4}))
    )  # fmt: skip
    metric = MetricResult(name="psi", value=0.4, threshold=0.3, breached=True)
    feature = FeatureResult(name="x", state="breached", metrics=(metric,), history=points)
    signal = examples.classification().signals[0].model_copy(update={"features": (feature,)})
    page = monitor_page(_with(signal))
    chart = re.search(r"<svg role=\"img\"[^>]*><title>Psi of x over time.*?</svg>", page, re.S)
    assert chart
    assert chart.group().count("<polyline") == 2
    assert chart.group().count('class="gap"') == 2
    assert "2 of the windows say nothing" in chart.group()
    assert chart.group().count('class="dot bad"') == 1


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, None),
        (Distribution(rows=0), Distribution(rows=0)),
        (Distribution(rows=9, nulls=9), Distribution(rows=9, edges=(1.0, 1.0), shares=(1.0,), mean=1.0)),
        (
            Distribution(rows=9, edges=(0.0, 1.0), shares=(1.0,)),
            Distribution(rows=9, edges=(5.0, 6.0, 7.0), shares=(0.5, 0.5)),
        ),
        (
            Distribution(rows=9, edges=(-1e308, 0.0, 1e308), shares=(0.0, 1.0), mean=0.5),
            Distribution(rows=9, edges=(-1e308, 0.0, 1e308), shares=(1.0, 0.0), mean=-0.5),
        ),
        (
            Distribution(rows=9, labels=tuple(map(str, range(500))), shares=(1 / 500,) * 500),
            Distribution(rows=9, labels=("new",), shares=(1.0,)),
        ),
        (Distribution(rows=9, labels=("a",), shares=()), Distribution(rows=9, labels=(), shares=())),
    ],
)  # fmt: skip
def test_odd_distributions_are_drawn_or_left_out(
    before: Distribution | None, now: Distribution | None
) -> None:
    metric = MetricResult(name="jensen_shannon_distance", value=0.4, threshold=0.2, breached=True)
    feature = FeatureResult(
        name="x", state="breached", metrics=(metric,), reference=before, production=now
    )
    signal = examples.classification().signals[0].model_copy(update={"features": (feature,)})
    source = monitor_page(_with(signal))
    Page(source)
    coordinates = re.findall(r' (?:x|y|width|height|cx|cy|d|points)="([^"]*)"', source)
    assert not any("nan" in each or "inf" in each for each in coordinates)
    many = before is not None and len(before.labels) == 500
    assert ("461 more are not shown" in source) == many


def test_windows_of_years_are_told_with_their_year() -> None:
    year = datetime.timedelta(days=365)
    points = tuple(
        Point(start=examples.MADE + n * year, end=examples.MADE + (n + 1) * year, rows=60, values={"psi": 0.3})
        for n in range(3)
    )  # fmt: skip
    metric = MetricResult(name="psi", value=0.3, threshold=0.2, breached=True)
    feature = FeatureResult(name="x", state="breached", metrics=(metric,), history=points)
    signal = (
        examples.classification()
        .signals[0]
        .model_copy(update={"features": (feature,), "state": "breached"})
    )
    page = Page(monitor_page(_with(signal)))
    assert "at most 0.2, since 18 May 2027 (3 windows or longer)" in page.words
    assert "Window until Rows Psi 18 May 2027 60 0.3 17 May 2028 60 0.3" in page.words


def test_the_status_page_says_what_is_where() -> None:
    page = Page(PAGES["status"])
    assert "Needs a look: dev and prod" in page.words
    assert [a["id"] for a in page.named("section")] == [
        "wrong", "where", "environment-0", "environment-1", "environment-2",
    ]  # fmt: skip
    assert (
        "Data drift in prod: alarm , version 4 mean_radius: Jensen-Shannon distance: 0.356 , at most 0.2"
        in page.words
    )
    assert "No result here: mlops monitor --env staging" in page.words
    row = re.search(r"<tr><th[^>]*><bdi[^>]*>dev/7</bdi></th>(.*?)</tr>", PAGES["status"])
    assert row
    cells = [re.sub("<[^>]*>", "", cell) for cell in row.group(1).split("</td>")]
    assert cells[0] == "version 7"
    assert cells[1] == "version 5"
    assert (
        cells[2].replace("\N{NO-BREAK SPACE}", " ")
        == "version 4 ★ champion, 90\u202f% of the traffic"
    )
    empty = Page(PAGES["nothing"])
    assert "No environment has a version in use yet" in empty.words
    assert "Nothing has been decided here yet." in empty.words


def test_a_training_that_did_not_start_is_no_trouble_and_a_refused_model_is() -> None:
    def overviews(outcome: str | None, passed: bool) -> str:
        found = examples.environments()[1:2]
        check = Check(rule="at most every day", value="2 hours", passed=passed)
        facts = {"outcome": {"result": outcome}} if outcome else {}
        decision = (
            found[0]
            .decisions[0]
            .model_copy(update={"kind": "retraining", "checks": (check,), "facts": facts})
        )
        decisions = (*found[0].decisions, decision)
        return status_page(
            [type(found[0])(found[0].state, decisions)], made=examples.MADE
        )  # fmt: skip

    assert "Needs a look" not in overviews(None, passed=False)
    assert "Needs a look" not in overviews("registered", passed=True)
    refused = overviews("refused", passed=True)
    assert "Needs a look: staging" in refused
    assert "Retraining in staging: the model was refused" in refused


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2013"), (float("nan"), "\u2013"), (0.0, "0"), (0.31249, "0.312"), (-2.5, "\u22122.5"),
        (12480.4, "12,480"), (999.96, "1,000"), (0.00001234, "1.23 \u00d7 10⁻⁵"), (float("inf"), "∞"),
        (1e20, "1 \u00d7 10²⁰"), (100.0, "100"), (17.5, "17.5"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_people(value: float | None, text: str) -> None:
    assert number(value) == text


def test_shares_chances_windows_and_names_are_written_for_people() -> None:
    thin = "\u202f"
    assert share(0.0642) == f"6.4{thin}%"
    assert share(0.0) == f"0{thin}%"
    assert share(0.0002) == f"<{thin}0.1{thin}%"
    assert share(0.99999) == f">{thin}99.9{thin}%"
    assert share(1.0) == f"100{thin}%"
    assert chance(0.00001) == "p < 0.001"
    assert chance(0.0123) == "p = 0.012"
    start = datetime.datetime(2026, 12, 28, tzinfo=UTC)
    said = span(start, start + datetime.timedelta(days=7)).replace("\N{NO-BREAK SPACE}", " ")
    assert said == "28 Dec 2026 to 4 Jan 2027"
    said = span(start, start + datetime.timedelta(hours=6)).replace("\N{NO-BREAK SPACE}", " ")
    assert said == "28 Dec 2026, 00:00 to 06:00 UTC"
    assert short("abcdef", 4) == "abc…"
    assert short(" ", 4) == "“ ”"


def _with(signal: object) -> MonitorResult:
    return examples.classification().model_copy(update={"signals": (signal,)})
