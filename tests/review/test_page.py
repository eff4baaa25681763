"""The review page in a browser, as people use it: by mouse, by keyboard, in two windows, on a narrow screen."""

from __future__ import annotations

import csv
import re
import shutil

import pytest
from report.browser import chromium
from reviewing import ReviewPage, severe
from runs import write_samplesheet, write_tube
from serving_review import serving

from cytomrd.report.words import fraction_words
from cytomrd.simulate import CLONES, LAWS, draw_donor, simulate_marrow_tube

from .conftest import reviewed

pytestmark = pytest.mark.slow

HOSTILE = ('<script>alert("x")</script> =1+1', "$\\frac{$ [/bold] 你好 مرحبا", "x" * 300)


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def served(opened):
    run, _, _, _, tokens = opened
    with serving(run) as desk:
        yield run, desk, tokens


@pytest.fixture
def windows(browser, served):
    """Opens a window: ``windows("Ada", width=400)``; no script of a page may have failed at the end."""
    _, desk, tokens = served
    opened = []

    def window(name, *, width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        opened.append(ReviewPage(context, desk.address, tokens[name]))
        return opened[-1]

    yield window
    for one in opened:
        assert one.errors == []
        one.page.context.close()


def mrd_in_file(folder) -> str:
    """MRD as the version's own table has it, in words."""
    with (folder / "mrd.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    return fraction_words(float(row["mrd_fraction"]))


def version_folder(run, version: int):
    return run.review / "samples" / "BM" / f"v{version}"


def review_all(run, page: ReviewPage, token: str) -> None:
    """Open, drag a gate, read the new MRD on the page and in the file, undo, call a cluster, sign, reload."""
    before = page.number("MRD")
    page.choose("2", "cells")
    page.drag("whole", 25, -10)
    moved = page.number("MRD")
    assert page.kept_number("MRD") == before
    assert moved != before
    page.keep("the cut stood in the tail")
    assert page.number("MRD") == moved == mrd_in_file(version_folder(run, 1))
    assert mrd_in_file(run.results) == before  # the automatic result stays
    page.step("undo")
    assert page.number("MRD") == before == mrd_in_file(version_folder(run, 2))
    clonal = page.page.locator("#clusters tr", has=page.page.locator(".call.clonal[aria-pressed=true]")).first
    letter = clonal.get_attribute("data-cluster")
    page.call(letter, "normal")
    called = page.number("Clonal plasma cells")
    assert called != page.kept_number("Clonal plasma cells")
    page.keep("as the others")
    page.sign("not the token")
    assert "not right" in page.page.locator("#dialog .refusal").inner_text()
    page.sign(token)
    assert page.page.locator("#seals .valid").count() == 1
    page.page.reload()
    page.ready()
    assert page.number("Clonal plasma cells") == called
    assert page.page.locator("#seals .valid").count() == 1
    what = page.trail()
    assert [word in line for word, line in zip(("signed", "called", "took back", "moved"), what, strict=True)] == [
        True
    ] * 4
    assert "the cut stood in the tail" in what[-1]
    page.page.emulate_media(color_scheme="dark")
    assert severe(page.page) == []
    page.page.emulate_media(color_scheme="light")
    assert severe(page.page) == []


def test_a_marrow_is_reviewed_from_opening_to_signature(served, windows):
    run, _, tokens = served
    review_all(run, windows("Bob"), tokens["Bob"])


@pytest.mark.parametrize("n_events", [1_000_000, 5_000_000])
def test_a_marrow_of_millions_of_events_a_tube(browser, tmp_path, n_events):
    from click.testing import CliRunner

    from cytomrd.cli.main import cytomrd

    law, rows = LAWS["clinical"], []
    donor = draw_donor(law, 11)
    for number in "12":
        tube = simulate_marrow_tube(
            law, donor, n_events, 0.002, clone=CLONES["typical"], n_clonal=n_events // 25_000, tube=number,
            random_state=int(number),
        )  # fmt: skip
        write_tube(tmp_path / "run" / f"BM_{number}.fcs", tube)
        rows.append({"file": f"BM_{number}.fcs", "sample_id": "BM", "panel": "euroflow-mm-mrd", "tube": number})
    write_samplesheet(tmp_path / "run", rows)
    gated = CliRunner().invoke(cytomrd, ["gate", str(tmp_path / "run"), "-j", "2"], catch_exceptions=False)
    assert gated.exit_code == 0, gated.output
    with reviewed(tmp_path / "run") as run:
        token = run.people.add("Bob", "reviewer")
        with serving(run) as desk:
            page = ReviewPage(browser.new_context(viewport={"width": 1280, "height": 900}), desk.address, token)
            review_all(run, page, token)
            assert page.errors == []


def test_a_signature_is_void_after_a_change_and_says_so(served, windows):
    _, _, tokens = served
    ada = windows("Ada")
    ada.sign(tokens["Ada"])
    bob = windows("Bob")
    bob.sign(tokens["Bob"], "approved")
    assert bob.page.locator("#seals .valid").count() == 2
    bob.choose("2", "cd38_bright")
    bob.drag("x 0", 30)
    bob.keep()
    assert bob.page.locator("#seals .void").count() == 2
    assert bob.page.locator("#signatures .reason").first.inner_text()
    ada.page.wait_for_selector("#seals .void")  # the other window hears of it by itself


def test_everything_by_keyboard_alone(windows):
    ada = windows("Ada")
    page, press = ada.page, ada.page.keyboard.press
    page.locator('#tree [data-key="2 cd38_bright"]').focus()
    press("Enter")
    page.wait_for_selector('#tree [data-key="2 cd38_bright"][aria-current]')
    ada.idle()
    press("g")
    press(".")
    before = page.locator("#plot .editor").get_attribute("aria-label")
    for _ in range(6):
        press("ArrowRight")
    assert page.locator("#plot .editor").get_attribute("aria-label") != before
    press("Enter")
    page.wait_for_selector("body.waits")
    ada.idle()
    moved = ada.number("MRD")
    assert "left edge" in page.locator("#plot .editor").get_attribute("aria-label")  # still held, for the next key
    press("k")
    page.wait_for_selector("#dialog[open]")
    page.keyboard.type("by keys")
    press("Tab")
    press("Tab")
    press("Enter")
    page.wait_for_selector("body:not(.waits)")
    ada.idle()
    assert ada.number("MRD") == moved
    press("u")
    page.wait_for_function("() => document.querySelectorAll('#trail tbody tr').length === 2")
    assert "by keys" in ada.trail()[1]


def test_a_corner_is_moved_added_and_taken_away_by_keys(windows):
    ada = windows("Ada")
    ada.choose("2", "singlets")
    n = ada.page.locator("#plot [data-handle^=corner]").count()
    press = ada.page.keyboard.press
    press("g")
    press(".")
    press("+")
    assert ada.page.locator("#plot [data-handle^=corner]").count() == n + 1
    press("Delete")
    press("ArrowUp")
    press("Escape")
    assert ada.page.locator("#plot [data-handle^=corner]").count() == n
    press("Shift+ArrowUp")
    press("Enter")
    ada.page.wait_for_selector("body.waits")


def test_what_is_not_kept_outlives_a_reload_and_is_discarded_when_asked(windows):
    ada = windows("Ada")
    before = ada.number("MRD")
    ada.choose("2", "cells")
    ada.drag("whole", 25, -10)
    moved = ada.number("MRD")
    ada.page.reload()
    ada.page.wait_for_selector("body.waits")
    ada.ready()
    assert (ada.number("MRD"), ada.kept_number("MRD")) == (moved, before)
    ada.page.click("#discard")
    ada.page.wait_for_selector("body:not(.waits)")
    ada.idle()
    assert ada.number("MRD") == before
    ada.drag("whole", 25, -10)
    ada.page.click("#undo")  # undo takes what is not kept first
    ada.page.wait_for_selector("body:not(.waits)")
    ada.idle()
    assert (ada.number("MRD"), ada.trail()) == (before, [])


def test_a_change_that_waits_is_never_replaced_by_another(windows):
    ada = windows("Ada")
    ada.choose("2", "cells")
    ada.drag("whole", 25, -10)
    moved = ada.number("MRD")
    ada.choose("2", "singlets")
    with pytest.raises(AssertionError, match="Keep or discard the change of cells"):
        ada.drag("whole", 20, 0)
    ada.idle()
    assert ada.number("MRD") == moved
    ada.page.click("#clusters [data-key^=not_sure]")
    ada.idle()
    assert "first" in ada.said()
    assert ada.number("MRD") == moved
    ada.choose("2", "cells")
    corner = ada.page.locator("#plot [data-handle^=corner]").first.get_attribute("data-handle")
    ada.drag(corner, 15, 5)  # the same gate goes on
    ada.keep("all of it")
    assert "around" in ada.trail()[0]


def test_a_typed_bound_does_what_a_drag_does(windows):
    ada = windows("Ada")
    ada.choose("2", "cd38_bright")
    box = ada.page.locator("#gate .bounds input").first
    box.fill("50000")
    box.press("Enter")
    ada.page.wait_for_selector("body.waits")
    ada.idle()
    assert float(ada.page.locator("#gate .bounds input").first.input_value()) == pytest.approx(50000, rel=1e-3)


def test_two_windows_on_one_sample(windows):
    ada, bob = windows("Ada"), windows("Bob")
    for one, by in ((ada, 30), (bob, -30)):
        one.choose("2", "cd38_bright")
        one.drag("x 0", by)
    ada.keep("mine")
    bob.page.wait_for_function("() => document.getElementById('said').textContent.includes('Ada')")
    assert bob.page.locator("body.waits").count()  # the change of this window is still there
    bob.idle()
    bob.keep("on top of it")
    assert ["on top of it" in line or "mine" in line for line in bob.trail()] == [True, True]


def test_slow_work_is_said_and_stopped(windows, monkeypatch):
    import time

    from cytomrd.review.workbench import Workbench

    ada = windows("Ada")
    before = ada.number("MRD")
    ada.choose("2", "cd38_bright")
    preview = Workbench.preview
    monkeypatch.setattr(Workbench, "preview", lambda self, edit: (time.sleep(4), preview(self, edit))[1])
    ada.page.evaluate("() => { window.shown = false; }")
    knob = ada.page.locator('#plot [data-handle="x 0"] circle.hit').bounding_box()
    ada.page.mouse.move(knob["x"] + 14, knob["y"] + 14)
    ada.page.mouse.down()
    ada.page.mouse.move(knob["x"] + 60, knob["y"] + 14, steps=4)
    ada.page.mouse.up()
    ada.page.wait_for_selector("#work:not([hidden])")
    ada.page.click("#stop")
    ada.page.wait_for_function("() => document.getElementById('said').textContent.startsWith('Stopped')")
    assert ada.number("MRD") == before
    assert not ada.page.locator("body.waits").count()


def test_a_rare_cell_is_met_by_a_click_and_shown_in_every_channel(windows):
    ada = windows("Ada")
    ada.choose("2", "cd38_bright")
    ada.page.click("#clusters [data-key^=look]")
    ada.page.wait_for_selector("#cells table")
    ada.page.click("#cells tbody tr:nth-child(2) button")
    ada.page.wait_for_selector("#cell table")
    assert "CD38" in ada.page.locator("#cell table").inner_text()
    ring = ada.page.locator("#plot .ring")
    assert ring.get_attribute("visibility") == "visible"
    assert ada.page.locator("#plot-title").inner_text().endswith("tube 1")  # the plot goes to the cell's tube
    ada.page.click("#cell button")
    ring.evaluate("element => element.scrollIntoView({ block: 'center' })")
    box = ada.page.locator("#plot svg").bounding_box()
    scale = box["width"] / float(ada.page.locator("#plot svg").get_attribute("width"))
    x, y = (float(ring.get_attribute(name)) * scale for name in ("cx", "cy"))
    ada.page.mouse.click(box["x"] + x, box["y"] + y)
    ada.page.wait_for_selector("#cell table")
    assert ada.page.locator("#cell h3").inner_text().partition(",")[0].startswith("Event")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_severe_for_those_who_do_not_see_the_page(windows, width, scheme):
    ada = windows("Ada", width=width, color_scheme=scheme)
    assert severe(ada.page) == []
    assert ada.page.evaluate("document.documentElement.scrollWidth") <= width
    ada.choose("2", "cd38_bright")
    ada.drag("x 0", 20)
    assert severe(ada.page) == []
    ada.page.click("#keep")
    ada.page.wait_for_selector("#dialog[open]")
    assert severe(ada.page) == []


def test_names_that_would_run_are_shown_as_text(browser, tmp_path):
    from click.testing import CliRunner

    from cytomrd.cli.main import cytomrd

    law, rows = LAWS["clinical"], []
    tube = simulate_marrow_tube(
        law, draw_donor(law, 11), 20_000, 0.01, clone=CLONES["typical"], n_clonal=60, tube="2", random_state=1
    )
    write_tube(tmp_path / "run" / "first.fcs", tube)
    for i, name in enumerate(HOSTILE):
        shutil.copy(tmp_path / "run" / "first.fcs", tmp_path / "run" / f"BM{i}.fcs")
        sample_id = re.sub(r'[<>:"/\\|?*]', "", name)[:100]  # what a samplesheet allows
        rows.append({"file": f"BM{i}.fcs", "sample_id": sample_id, "subject_id": f"{name} {i}", "visit": name,
                     "panel": "euroflow-mm-mrd", "tube": "2"})  # fmt: skip
    (tmp_path / "run" / "first.fcs").unlink()
    write_samplesheet(tmp_path / "run", rows)
    assert CliRunner().invoke(cytomrd, ["gate", str(tmp_path / "run")]).exit_code == 0
    with reviewed(tmp_path / "run") as run:
        token = run.people.add("<b>Ada</b> =1+1", "reviewer")
        with serving(run) as desk:
            page = ReviewPage(browser.new_context(viewport={"width": 400, "height": 900}), desk.address, token)
            asked = []
            page.page.on("dialog", lambda dialog: asked.append(dialog.message))
            for row, name in zip(rows, HOSTILE, strict=True):
                title = row["sample_id"]
                page.page.wait_for_function("t => document.getElementById('title').textContent === t", arg=title)
                page.ready()
                page.page.click("#comment")
                page.page.fill("#dialog textarea", name)
                page.page.click("#dialog button.first")
                page.page.wait_for_selector("#comments .said")
                assert page.page.locator("#comments .said").inner_text() == name
                assert name in page.page.locator("#facts").inner_text()
                assert page.page.evaluate("document.documentElement.scrollWidth") <= 400
                page.page.keyboard.press("]")
            assert (asked, page.errors) == ([], [])
            assert "<b>Ada</b>" in page.page.locator(".person").inner_text()
