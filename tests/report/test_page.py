"""The page: whole, safe, self-contained, and the same each time."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from report.factory import NOTES, PROVENANCE, batch, car_sample, failed_sample, mrd_sample, with_full_path

from cytomrd.gating.gates import GatingStrategy
from cytomrd.mrd.gate_error import GateError95
from cytomrd.panel import Panel
from cytomrd.report.page import finalize
from cytomrd.report.render import render_report
from cytomrd.run.model import RunResult

VOID = {"meta", "input", "br", "link", "img", "hr"}
SVG_EMPTY = {"path", "rect", "circle", "image", "line"}
PAYLOAD = (
    "\"'><script>alert(1)</script><img src=x onerror=alert(2)>=1+1{{7*7}}{% raw %}"
    "\x1b[31m\u202e\x00\ud800$\\frac{a}{b}$"
)


class Page(HTMLParser):
    """Tags, attributes and text of a page; unbalanced tags are collected."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.assets = {"style": "", "script": ""}
        self.feed(text)
        self.close()
        self.faults += [f"never closed: {t}" for t in self.open]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"closed out of order: {tag}")

    def handle_data(self, data):
        if self.open and self.open[-1] in self.assets:
            self.assets[self.open[-1]] += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\xa0", " ").split())

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def run() -> RunResult:
    return batch()


@pytest.fixture(scope="module")
def html(run) -> str:
    return render_report(run)


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_html_parses_with_every_tag_closed(page):
    assert page.faults == []


def test_ids_are_unique_and_links_within_the_page_lead_somewhere(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for a in page.all("a") if a.get("href", "").startswith("#")]
    assert targets
    assert set(targets) <= set(ids)


def test_samples_stand_in_the_order_of_need(page):
    rows = [a["class"] for a in page.all("tr") if a.get("id", "").startswith("row-")]
    order = ["failed", "held", "not-evaluable", "indeterminate", "positive", "negative"]
    assert rows == sorted(rows, key=order.index)
    assert set(rows) == set(order)


def test_status_is_a_word_and_a_shape(page, html):
    for word in ("Failed", "Held · positive", "Not evaluable", "Indeterminate", "Positive", "Negative", "Quantified"):
        assert word in page.text
    for status in re.findall(r'<span class="status [^"]*">(.*?)</span></span>', html, re.S):
        assert status.startswith("<svg")


def test_the_page_needs_nothing_else(page):
    for tag, attrs in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form"), tag
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style", tag
            if name in ("href", "src", "xlink:href", "action"):
                assert value.startswith(("#", "data:image/png;base64,", "data:text/csv;")), value[:60]
    assert "url(" not in page.assets["style"]
    assert "@import" not in page.assets["style"]


def test_the_policy_allows_this_style_and_script_alone(page):
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, text in page.assets.items():
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_what_failed_or_was_assumed_stands_before_the_table(page):
    text = page.text
    table = text.index("Samples, by need")
    for words in (
        "Refused",
        "$TOT says 512000 events",
        "Held for a person",
        "doublets are 43.0%",
        "$NEXTDATA",
        "not gated",
    ):
        assert text.index(words) < table


def test_a_failed_sample_is_boxed_with_its_reason_and_remedy(html):
    box = re.search(r'<div class="box failed".*?</div>', html, re.S).group()
    assert "the data segment holds 301442" in box
    assert "exported again" in box


def test_every_clonal_cell_is_on_the_page(run, html):
    sample = next(s for s in run.samples if s.sample_id == "S01-BM-C3")
    part = html[html.index('aria-labelledby="' + _anchor(html, sample.sample_id)) :]
    part = part[: part.index("</article>")]
    counts = [int(n) for n in re.findall(r'class="dot clonal" data-n="(\d+)"', part)]
    tubes = [int((f.rare[0].labels == 1).sum()) for f in sample.files]
    assert sum(tubes) == sample.mrd.n_clonal_pc == 31
    assert counts
    assert set(counts) == set(tubes)


def _anchor(html: str, sample_id: str) -> str:
    return re.search(rf'<a href="#(s\d+)">{re.escape(sample_id)}</a></th>', html).group(1)


def test_no_number_that_is_none(page, html):
    for word in (r"\bnan\b", r"\bNaN\b", r"\binf\b", r"\bNone\b", r"\bnull\b", "undefined"):
        assert not re.search(word, page.text), word
    for coordinates in re.findall(r'\b(?:d|x|y|width|height|transform)="([^"]*)"', html):
        assert "nan" not in coordinates
        assert "inf" not in coordinates


def test_a_bare_float_never_reaches_the_page():
    with pytest.raises(TypeError, match="unformatted"):
        finalize(0.1)
    with pytest.raises(TypeError, match="unformatted"):
        finalize(None)


def test_the_same_run_gives_the_same_bytes(run, html):
    assert render_report(run) == html


def test_an_axis_is_written_once_and_referred_to(html, page):
    ids = {a["id"] for a in page.all("g") if "id" in a}
    uses = [a["href"][1:] for a in page.all("use")]
    assert set(uses) <= ids
    assert len(uses) > 10 * len(ids)
    assert 'class="shared"' not in html


def test_tables_are_offered_as_csv(page):
    files = {a["download"]: a["href"] for a in page.all("a") if "download" in a}
    assert {"mrd.csv", "car_nk.csv", "qc.csv", "populations.csv", "gates_decided.csv"} <= set(files)
    text = base64.b64decode(files["mrd.csv"].partition("base64,")[2]).decode()
    assert text.startswith("sample_id,subject_id,visit")
    assert len(text.splitlines()) == 7


def test_series_of_each_subject(page):
    assert "S01 · MRD, marrow" in page.text
    assert "S02 · CAR+ NK cells per µL, blood" in page.text


def test_the_review_state_and_the_hashes_are_said(page):
    assert "not yet reviewed or signed" in page.text
    assert "ab" * 32 in page.text


def hostile(value, payload: str = PAYLOAD):
    """The same record with every free text followed by the payload, keys and names alike."""
    if isinstance(value, str):
        return value + payload
    if isinstance(value, GatingStrategy | Panel | datetime | np.ndarray | type(None)):
        return value
    if isinstance(value, dict):
        return {hostile(k, payload): hostile(v, payload) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(hostile(v, payload) for v in value)
    if isinstance(value, list):
        return [hostile(v, payload) for v in value]
    if is_dataclass(value):
        kept = {"status", "assay", "grade", "transform", "strategy", "panel", "bands"}
        changes = {
            f.name: hostile(getattr(value, f.name), payload) for f in fields(value) if f.name not in kept and f.init
        }
        return replace(value, **changes)
    return value


def test_hostile_text_in_every_field_stays_text(run):
    text = render_report(hostile(replace(run, provenance=dict(run.provenance))))
    text.encode("utf-8")
    page = Page(text)
    assert page.faults == []
    assert len(page.all("script")) == 1
    assert len(page.all("style")) == 1
    assert not page.all("img")
    assert all(not name.startswith("on") for _, attrs in page.tags for name in attrs)
    for character in ("\x1b", "\u202e", "\x00", "\ud800"):
        assert character not in text
    assert "{{7*7}}" in page.text
    assert "alert(1)" not in page.assets["script"]
    assert "⟨U+202E⟩" in page.text


def test_hostile_cells_of_the_csv_are_neutralised(run):
    sample = mrd_sample("=HYPERLINK(1)", subject_id="@S", visit="+V")
    page = Page(render_report(replace(run, samples=(sample,))))
    files = {a["download"]: a["href"] for a in page.all("a") if "download" in a}
    row = base64.b64decode(files["mrd.csv"].partition("base64,")[2]).decode().splitlines()[1]
    assert row.startswith("'=HYPERLINK(1),'@S,'+V")


def test_an_empty_run_and_a_run_of_failures():
    empty = RunResult("/data/run", (), (), {})
    assert Page(render_report(empty)).faults == []
    failed = RunResult("/data/run", (failed_sample(),), (), {})
    assert "No result" in Page(render_report(failed)).text


def test_a_sample_without_its_panel_still_renders():
    samples = (replace(mrd_sample(), panel=None), replace(car_sample(), panel=None))
    assert Page(render_report(RunResult("/data/run", samples, (), {}))).faults == []


def test_the_subjects_earlier_clone_is_an_outline(run):
    html = render_report(run)
    assert "the clone at Screening: two standard deviations" in html


def test_twenty_marrows_of_two_tubes_take_less_than_8_mb():
    sample = with_full_path(mrd_sample(n_clonal=60, n_normal=6_000))
    one, two = (
        len(render_report(RunResult("/data/run", (sample, replace(sample, sample_id="other"))[:n], NOTES, PROVENANCE)))
        for n in (1, 2)
    )
    assert one + 19 * (two - one) < 8_000_000


def test_a_large_sample_of_two_tubes_renders_in_time():
    sample = mrd_sample(n_clonal=2_500, n_normal=15_000)
    run = RunResult("/data/run", (sample,), (), {})
    render_report(run)
    start = time.process_time()
    html = render_report(run)
    assert time.process_time() - start < 3.0
    assert len(html) < 6_000_000
    assert 'data-n="15000"' in html


@pytest.mark.parametrize(
    ("counts", "words", "not_said"),
    [
        ({"n_clonal": 31}, "cells that gates lose; 28 to 33 clonal cells in 20 draws of the gates", "up to"),
        ({"n_clonal": 31, "n_unsure": 8}, "up to all indeterminate cells;", "missed below"),
        ({"n_clonal": 0}, "up to the 19 events that may be missed below the threshold;", "indeterminate"),
    ],
)
def test_the_interval_of_the_whole_analysis_says_what_it_holds(counts, words, not_said):
    sample = replace(mrd_sample(**counts), gate_error=GateError95(20, 3e-7, 28, 33))
    text = Page(render_report(RunResult("/data/run", (sample,), (), {}))).text
    [said] = re.findall(r"counting, cuts, compensation.*?their evidence", text)
    assert words in said
    assert not_said not in said
