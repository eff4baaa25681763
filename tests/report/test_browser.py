"""The page in a browser: filter, keys, saved tables and plots, paper, narrow screens, accessibility, hostile text."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from report.browser import chromium
from report.factory import NOTES, PROVENANCE, car_sample, failed_sample, mrd_sample
from report.test_page import hostile

from cytomrd.report.render import render_report
from cytomrd.run.model import RunResult

AXE_RULES = ("critical", "serious")
HOSTILE = {
    "markup": "\"'><script>document.title='run'</script><img src=x onerror=alert(2)>[/bold]$\\frac{$",
    "long": "x" * 300,
    "chinese": "漢字測試標本名稱" * 6,
    "arabic": " مريض رقم ١٢ عينة النخاع \u202egnp.exe",
}
BOXES = "found => found.map(e => e.getBBox()).map(b => [b.x, b.y, b.width, b.height])"
OVERFLOW = """() => Array.from(document.querySelectorAll('body *')).filter(e => {
  if (e.closest('.scroll') && !e.classList.contains('scroll')) return false;
  if (e.closest('svg') && e.tagName !== 'svg') return false;
  const box = e.getBoundingClientRect();
  return box.width > 0 && !e.classList.contains('skip') && !e.closest('thead')
    && (box.right > document.documentElement.clientWidth + 1 || box.left < -1);
}).map(e => e.tagName + '.' + (e.className.baseVal ?? e.className)).slice(0, 5)"""


def small_batch() -> RunResult:
    """Every kind of sample once, and a subject with two visits."""
    samples = (
        mrd_sample("S01-SCR", n_clonal=120, visit="Screening", day=-14.0, seed=11),
        mrd_sample("S01-C3", n_clonal=31, seed=12),
        mrd_sample("S05", n_clonal=64, subject_id="S05", seed=16, held=("doublets are 43.0% of events",)),
        car_sample(),
        failed_sample(),
    )
    return RunResult("/data/runs/batch 12", samples, NOTES, PROVENANCE)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(small_batch()), "utf-8")
    return path.as_uri()


class Opened:
    """A page with what its console said and what it asked of a network."""

    def __init__(self, browser, address, *, width=1280, scheme="light", **options):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True, **options
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.goto(address)

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.said.append(f"asked for {url}")

    def __enter__(self):
        return self.page, self.said

    def __exit__(self, *_):
        self.context.close()


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_stands_out_of_the_page_and_nothing_is_asked_for(browser, address, width):
    with Opened(browser, address, width=width) as (page, said):
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OVERFLOW) == []
        assert said == []


def test_the_table_is_filtered_by_typing_and_the_way_back_finds_a_hidden_row(browser, address):
    with Opened(browser, address) as (page, _):
        page.keyboard.press("/")
        page.keyboard.type("s01 positive")
        assert page.locator("#batch tbody tr:visible").count() == 2
        assert page.locator("#filter-count").inner_text() == "2 of 5"
        page.keyboard.press("Escape")
        assert page.locator("#batch tbody tr:visible").count() == 5
        page.locator("#filter").fill("screening")
        page.evaluate("location.hash = '#row-s3'")
        page.wait_for_function("!document.getElementById('row-s3').hidden")


def test_brackets_step_through_the_samples(browser, address):
    with Opened(browser, address) as (page, _):
        tops = "Array.from(document.querySelectorAll('article.sample'), a => a.getBoundingClientRect().top)"
        page.keyboard.press("]")
        page.keyboard.press("]")
        assert abs(page.evaluate(tops)[1]) < 40
        page.keyboard.press("[")
        assert abs(page.evaluate(tops)[0]) < 40
        page.locator("#keys").uncheck()
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        page.keyboard.press("]")
        assert page.evaluate("scrollY") == 0, "keys of one letter can be turned off"


def test_every_table_and_plot_can_be_saved(browser, address):
    with Opened(browser, address) as (page, _):
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.locator("main table").count() == page.locator(".save.of-table").count()
        assert page.locator("figure > svg.plot").count() == page.locator("figure > .save").count()
        with page.expect_download() as got:
            page.locator("#samples .save.of-table").click()
        rows = list(csv.reader(io.StringIO(got.value.path().read_text("utf-8-sig"))))
        assert rows[0][:3] == ["Status", "Sample", "Subject"]
        assert len(rows) == 6
        figure = page.locator("article figure:has(svg .gate)").first
        figure.hover()
        with page.expect_download() as got:
            figure.locator(".save").click()
        svg = ElementTree.fromstring(got.value.path().read_text("utf-8"))  # noqa: S314, our own page
        ground = svg[0]
        assert (ground.tag.rpartition("}")[2], ground.get("fill")) == ("rect", "#fff")
        gate = [e for e in svg.iter() if e.tag.endswith("path") and e.get("stroke-linejoin") == "round"]
        assert gate, "the page's colours are written into the file"
        figure = page.locator("article figure:has(svg use)").last
        figure.hover()
        with page.expect_download() as got:
            figure.locator(".save").click()
        text = got.value.path().read_text("utf-8")
        assert "<use" not in text
        assert "10⁴" in text, "an axis that the page draws once is in each file"
        assert page.locator("figure > svg.plot").count() == page.locator("figure > .save").count()


@pytest.mark.parametrize("width", [1280, 400])
def test_an_axis_that_is_referred_to_looks_like_one_that_is_drawn(browser, address, width):
    # Both plots have the same axes; the first sample by need draws them, the other refers to them.
    with Opened(browser, address, width=width) as (page, _):
        boxes = []
        for anchor, kind in (("s3", "g"), ("s1", "use")):
            figure = page.locator(f"article#{anchor} figure", has=page.get_by_text("Singlets", exact=True)).first
            axes = figure.locator(f"svg > {kind}")
            assert axes.count() == 2
            boxes.append(
                axes.evaluate_all("found => found.map(e => e.getBBox()).map(b => [b.x, b.y, b.width, b.height])")
            )
        assert boxes[0] == boxes[1], "size and alignment of its labels"


def test_what_a_spreadsheet_would_run_is_saved_as_text(browser, tmp_path):
    run = replace(small_batch(), samples=(mrd_sample("=1+1", subject_id="@S", visit="-V"),))
    (tmp_path / "r.html").write_text(render_report(run), "utf-8")
    with Opened(browser, (tmp_path / "r.html").as_uri()) as (page, _):
        with page.expect_download() as got:
            page.locator("#samples .save.of-table").click()
        row = list(csv.reader(io.StringIO(got.value.path().read_text("utf-8-sig"))))[1]
        assert row[1:4] == ["'=1+1", "'@S", "'-V, day 63"]


def test_on_paper_tables_are_open_and_buttons_gone(browser, address):
    with Opened(browser, address) as (page, _):
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        assert page.locator(".save:visible").count() == 0
        breaks = page.evaluate(
            "Array.from(document.querySelectorAll('article')).map(a => getComputedStyle(a).breakBefore)"
        )
        assert set(breaks) == {"page"}
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0
        assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_hostile_text_runs_nothing_and_breaks_no_layout(browser, tmp_path, kind):
    run = replace(small_batch(), samples=(mrd_sample(n_clonal=31), car_sample(), failed_sample()))
    (tmp_path / "r.html").write_text(render_report(hostile(run, HOSTILE[kind])), "utf-8")
    for width in (1280, 400):
        with Opened(browser, (tmp_path / "r.html").as_uri(), width=width) as (page, said):
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate(OVERFLOW) == []
            assert said == []
            assert page.title() != "run"
            shown = HOSTILE[kind].replace("\u202e", "⟨U+202E⟩").strip()
            assert shown in page.locator("article h2").first.text_content()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (400, "dark"),
        pytest.param(400, "light", marks=pytest.mark.slow),
        pytest.param(1280, "dark", marks=pytest.mark.slow),
        pytest.param(1280, "light", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_serious(browser, address, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    with Opened(browser, address, width=width, scheme=scheme, bypass_csp=True) as (page, _):
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        found = axe.Axe().run(page).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found if v["impact"] in AXE_RULES] == []
