"""The report in a real browser: slider, markers, keys, search, hostile texts, and no request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.data.examples import dump_examples
from engine.export.kinds import Request, write_export
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import COLUMNS, Snapshot, snapshot_name, write_snapshot
from engine.storage.atomic_io import replace_file
from tests.browser import Page, find_chromium, open_browser
from tests.fake_run import fake_set, make_run
from tests.recorded import recorded_run

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed")
PHONE, LAPTOP, WIDE = (390, 844), (1280, 800), (2200, 1300)
READY = "document.documentElement.dataset.ready === 'true'"
HOSTILE = "</script><script>window.owned = 1</script><img src=//x.test/y onerror='window.owned = 1'>\u202e<b onclick=1>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return exported(recorded_run(folder), folder)


def exported(run: RunDir, folder: Path) -> Path:
    path = folder / "report.html"
    write_export(Request(run, path))
    return path


@pytest.fixture
def page(browser: Page, report: Path) -> Page:
    browser.size(*LAPTOP)
    show(browser, report)
    return browser


def show(browser: Page, path: Path) -> None:
    browser.open(path.as_uri())
    browser.until(READY)
    browser.drawn()


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.key(key)
    page.drawn()


def text(page: Page, element: str) -> str:
    return str(page.run(f"document.getElementById('{element}').textContent"))


def heights(page: Page, side: str) -> list[float]:
    found: list[float] = page.run(
        f"[...document.querySelectorAll('#bars-{side} .heap rect')].map(bar => +bar.getAttribute('height'))"
    )
    return found


def test_the_slider_moves_through_the_snapshots(page: Page) -> None:
    assert text(page, "label") == "epoch 5"
    last = heights(page, "start")
    page.run(
        "const s = document.getElementById('slider'); s.value = 0; s.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    page.drawn()
    assert text(page, "label") == "untrained"
    assert heights(page, "start") != last
    assert page.run("document.getElementById('slider').getAttribute('aria-valuetext')") == "untrained"
    assert "EM0.0" in text(page, "headline")
    assert page.errors == []


MARKS = """
(side => {
  const box = element => { const b = element.getBoundingClientRect(); return [b.left, b.right, b.top, b.bottom]; };
  const svg = document.getElementById('bars-' + side);
  const label = svg.querySelector('text.gold-' + side).textContent;
  const seen = document.getElementById('scroller').getBoundingClientRect();
  return {
    token: +label.match(/\\d+/)[0], signed: /[▲◆]/.test(label),
    marker: box(svg.querySelector('.marker')),
    bars: [...svg.querySelectorAll('.heap rect')].map(box),
    colour: getComputedStyle(svg.querySelector('.marker')).fill,
    left: seen.left, right: seen.right,
  };
})
"""


@pytest.mark.parametrize("size", [PHONE, LAPTOP, WIDE], ids=["phone", "laptop", "wide"])
@pytest.mark.parametrize("side", ["start", "end"])
def test_the_marker_stands_on_exactly_the_bar_of_the_expected_token(
    page: Page, report: Path, size: tuple[int, int], side: str
) -> None:
    page.size(*size)
    for snapshot in ("Home", "End"):
        for example in range(4):
            press(page, snapshot, *["ArrowDown"] * min(1, example))
            found: dict[str, Any] = page.run(f"{MARKS}('{side}')")
            red, green, blue = (int(part) for part in re.findall(r"\d+", found["colour"]))
            assert red > 200, "yellow or red"
            assert (green > 150) is (side == "start")
            assert blue < 110
            assert found["signed"], "a sign tells it without colour"
            left, right, top, _ = found["marker"]
            bar = found["bars"][found["token"]]
            assert (left, right) == pytest.approx(bar[:2], abs=0.01)
            assert top < bar[2], "the marker is seen above the bar"
            owners = [n for n, other in enumerate(found["bars"]) if other[0] < right - 0.01 and other[1] > left + 0.01]
            assert owners == [found["token"]]
            assert found["left"] - 1 <= left < right <= found["right"] + 1, "the marker is in view"
            widths = {round(b - a, 3) for a, b, *_ in found["bars"]}
            assert len(widths) == 1, "all bars are equally wide"


def test_the_marked_token_is_the_label(browser: Page, tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=6, snapshots=3)
    made = fake_set(6)
    browser.size(*LAPTOP)
    show(browser, exported(run, tmp_path))
    for number in range(6):
        assert browser.run(f"{MARKS}('start')")["token"] == made.gold_start[number]
        assert browser.run(f"{MARKS}('end')")["token"] == made.gold_end[number]
        press(browser, "ArrowDown")


def test_nothing_is_asked_of_the_network(page: Page, report: Path) -> None:
    press(page, "Home", "ArrowRight", "ArrowDown", "y", "m")
    assert page.requests == [report.as_uri()]
    for address in ("data:text/plain,x", "https://example.com/"):
        assert page.run(f"fetch('{address}').then(() => 'fetched', error => error.name)") == "TypeError"
    page.run("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.head.append(s)")
    page.run(
        "const i = document.createElement('i'); i.innerHTML = '<b style=\"color: red\">x</b>'; document.body.append(i)"
    )
    assert page.run("typeof window.ran") == "undefined", "no script but the page's own runs"
    assert page.run("getComputedStyle(document.querySelector('i b')).color") != "rgb(255, 0, 0)"


def test_the_page_never_scrolls_sideways(page: Page) -> None:
    for size in (PHONE, LAPTOP, WIDE):
        page.size(*size)
        assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_keys_work_as_in_the_app(page: Page) -> None:
    press(page, "Home")
    assert text(page, "label") == "untrained"
    press(page, "ArrowRight", "l")
    assert text(page, "label") == "step 2"
    press(page, "ArrowLeft")
    assert text(page, "label") == "step 1"
    press(page, "End")
    assert text(page, "label") == "epoch 5"
    question = text(page, "question")
    press(page, "ArrowDown")
    assert text(page, "question") != question
    press(page, "k")
    assert text(page, "question") == question
    press(page, "m")
    assert text(page, "readout").startswith("token 22 ")
    press(page, "]")
    assert text(page, "readout").startswith("token 23 ")
    press(page, "y", "y")
    assert page.run("document.querySelector('#scale input:checked').value") == "probability"
    assert max(heights(page, "start")) < 150
    press(page, "=")
    assert max(heights(page, "start")) == pytest.approx(150, abs=0.2)
    press(page, "/", "h", "o")
    assert page.run("document.getElementById('search').value") == "ho", "keys are text where one types"


def test_search_and_filter_leave_what_they_say(page: Page) -> None:
    press(page, "/", *"hiccups", "Escape")
    ids = page.run("[...document.querySelectorAll('.row .row-id')].map(row => row.textContent)")
    assert ids
    assert all("hiccups" in ident or "hiccup" in ident for ident in ids)
    assert "hiccup" in text(page, "where")
    page.run(
        "const f = document.getElementById('search'); f.value = 'no such words'; f.dispatchEvent(new Event('input'))"
    )
    page.drawn()
    assert "No example matches." in text(page, "rows")


def test_a_screen_reader_hears_each_flip_and_finds_tables(page: Page) -> None:
    press(page, "Home")
    page.until("document.getElementById('live').textContent.startsWith('untrained: wrong, ')")
    assert page.run("document.getElementById('live').getAttribute('aria-live')") == "polite"
    label = page.run("document.getElementById('bars-start').getAttribute('aria-label')")
    assert "Expected: token 22, “Chi”" in label
    page.run("document.querySelectorAll('details.table').forEach(fold => fold.open = true)")
    page.until("document.querySelectorAll('#token-table tbody tr').length > 100")
    marks = page.run("[...document.querySelectorAll('#token-table tbody tr')].map(row => row.lastChild.textContent)")
    assert marks[22] == "expected start, predicted start"
    assert marks[25] == "expected end"
    assert page.run("document.querySelectorAll('#span-table tbody tr').length") == 44
    unnamed = page.run(
        "[...document.querySelectorAll('button, input, select, [role=img], [role=listbox]')].filter(element =>"
        " !(element.getAttribute('aria-label') || element.textContent.trim() || element.labels?.length))"
        ".map(element => element.outerHTML)"
    )
    assert unnamed == []


def test_hostile_texts_stay_text(browser: Page, tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=4, snapshots=3, name="x<img src=y onerror='owned=1'>")
    made = fake_set(4).dataset
    hostile = tuple(
        msgspec.structs.replace(
            example, question=HOSTILE, id=f"{HOSTILE}{example.id}", title=HOSTILE, context=example.context + HOSTILE
        )
        for example in made.eval
    )
    replace_file(run.examples_file, dump_examples(msgspec.structs.replace(made, eval=hostile)))
    browser.size(*LAPTOP)
    path = exported(run, tmp_path)
    show(browser, path)
    browser.run("document.querySelectorAll('details.table').forEach(fold => fold.open = true)")
    press(browser, "Home", "ArrowRight", "ArrowDown", "m", "y")
    assert text(browser, "question") == HOSTILE
    assert HOSTILE in text(browser, "passage")
    assert browser.run("typeof window.owned") == "undefined"
    assert browser.run("document.querySelectorAll('img, [onclick], [onerror]').length") == 0
    assert browser.requests == [path.as_uri()]
    assert browser.errors == []


def test_code_points_beyond_the_first_plane_are_cut_where_they_stand(browser: Page, tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=3, snapshots=3)
    made = fake_set(3).dataset
    # The same number of code points, so that every offset stays right.
    emoji = tuple(
        msgspec.structs.replace(
            example,
            context="".join("🍯" if character == "o" else character for character in example.context),
            answers=tuple(
                msgspec.structs.replace(answer, text=answer.text.replace("o", "🍯")) for answer in example.answers
            ),
        )
        for example in made.eval
    )
    replace_file(run.examples_file, dump_examples(msgspec.structs.replace(made, eval=emoji)))
    show(browser, exported(run, tmp_path))
    shown = browser.run("[...document.querySelectorAll('#passage mark')].map(mark => mark.textContent).join('')")
    assert shown == emoji[0].answers[0].text


def test_it_prints_without_controls_on_white(page: Page) -> None:
    page.media("print")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.run("getComputedStyle(document.querySelector('.list')).display") == "none"
    assert page.run("getComputedStyle(document.getElementById('bars-start')).display") == "block"


def test_the_map_and_the_suspects_lead_to_the_example(page: Page) -> None:
    page.run("document.querySelector('#map-chart').scrollIntoView()")
    page.drawn()
    label = page.run("document.getElementById('map-chart').getAttribute('aria-label')")
    counts = [int(part) for part in re.findall(r"\d+", label)]
    assert counts[0] == 44 == sum(counts[1:])
    wanted = page.run("document.querySelector('#suspects-place button .suspect-question').textContent")
    reason = page.run("document.querySelector('#suspects-place button .quiet').textContent")
    assert "the label says “" in reason
    page.run("document.querySelector('#suspects-place button').click()")
    page.drawn()
    assert text(page, "question").startswith(wanted.rstrip("…"))
    assert page.run("document.activeElement.id") == "journey"
    spot = page.run(
        "(() => { document.querySelector('#map-chart').scrollIntoView({block: 'center'});"
        " const b = document.querySelector('#map-chart .ring').getBoundingClientRect();"
        " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
    )
    press(page, "Escape", "ArrowDown")
    assert not text(page, "question").startswith(wanted.rstrip("…"))
    page.run("document.querySelector('#map-chart').scrollIntoView({block: 'center'})")
    page.click(*spot)
    page.drawn()
    assert text(page, "question").startswith(wanted.rstrip("…"))


def test_a_run_without_a_whole_epoch_has_no_map(browser: Page, tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=4, snapshots=1)
    browser.size(*LAPTOP)
    show(browser, exported(run, tmp_path))
    assert browser.run("document.getElementById('map').hidden")
    assert text(browser, "label") == "untrained"
    assert browser.errors == []


def test_a_group_of_questions_fills_the_list(page: Page) -> None:
    press(page, "Home")
    rows = page.run("[...document.querySelectorAll('#fails-table tbody tr:not(.kind)')].map(row => row.textContent)")
    assert rows[0].startswith("all examples44")
    page.run("[...document.querySelectorAll('#fails-table button')].find(b => b.textContent === '1 word').click()")
    page.drawn()
    assert text(page, "count") == "11 of 44"
    assert text(page, "group-name") == "answer length: 1 word"
    press(page, "End", "/", "a", "Escape")
    assert int(text(page, "count").split()[0]) <= 11
    page.run("document.getElementById('group-clear').click()")
    page.run("const s = document.getElementById('search'); s.value = ''; s.dispatchEvent(new Event('input'))")
    page.drawn()
    assert text(page, "count") == "44"


def test_a_filter_follows_the_slider(page: Page) -> None:
    page.run("const f = document.getElementById('filter'); f.value = 'wrong'; f.dispatchEvent(new Event('change'))")
    press(page, "End")
    last = int(text(page, "count").split()[0])
    press(page, "Home")
    assert int(text(page, "count").split()[0]) > last
    press(page, "End")
    assert int(text(page, "count").split()[0]) == last
    press(page, "ArrowDown")
    assert text(page, "verdict").startswith("✗ wrong")


def test_windows_of_a_long_passage_are_walked(browser: Page, tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=4, snapshots=2, windows=3, has_impossible=True)
    browser.size(*LAPTOP)
    show(browser, exported(run, tmp_path))
    seen = set()
    for _ in range(3):
        seen.add(text(browser, "window"))
        press(browser, "w")
    assert seen == {"window 1/3", "window 2/3", "window 3/3"}
    press(browser, *["ArrowDown"] * 3)
    assert browser.run(f"{MARKS}('start')")["token"] == 0, "no answer is expected at the null token"
    assert browser.errors == []


def test_scores_that_are_no_numbers_are_drawn_as_none(browser: Page, tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=3, snapshots=3)
    with Snapshot(run.path / snapshot_name(2)) as snapshot:
        start, end = (side.copy() for side in snapshot.logits())
        columns = {name: snapshot.column(name) for name in COLUMNS}
        info = snapshot.info
    start[::3], end[::2], columns["score"] = np.nan, np.inf, np.full(3, -np.inf, np.float32)
    write_snapshot(run.path, info, start, end, columns)
    browser.size(*LAPTOP)
    show(browser, exported(run, tmp_path))
    press(browser, "m", "y", "y", "ArrowDown", "=")
    assert browser.errors == []
    assert heights(browser, "end")[0] == 0
    assert "NaN" not in browser.run("document.body.innerText")


def test_the_chart_of_spans_leads_to_an_example_and_agrees_with_the_scores(page: Page) -> None:
    page.run("document.getElementById('spans').scrollIntoView()")
    press(page, "Home", "End")
    label = page.run("document.getElementById('spans-chart').getAttribute('aria-label')")
    assert label.startswith("44 examples at epoch 5: 43 right")
    boxes = {
        kind: page.run(f"(document.querySelector('#spans-chart .{kind}').getAttribute('d').match(/M/g) || []).length")
        for kind in ("gold", "right", "near", "apart")
    }
    assert boxes["gold"] == 44
    assert boxes["right"] == 43
    assert boxes["near"] + boxes["apart"] == 1
    left, top, width = page.run(
        "(b => [b.left, b.top, b.width])(document.getElementById('spans-chart').getBoundingClientRect())"
    )
    page.click(left + width / 44 * 2.5, top + 20)
    page.drawn()
    assert text(page, "where").startswith("example 3 of 44")


def test_what_is_not_scored_says_so(browser: Page, tmp_path: Path) -> None:
    """At snapshots of a sample every part of the page says what is scored, and shows nothing of the rest."""
    run = make_run(tmp_path, examples=10, snapshots=5, sampled=(1, 2), has_impossible=True)
    browser.size(*LAPTOP)
    show(browser, exported(run, tmp_path))
    press(browser, "Home", "ArrowRight")
    assert text(browser, "label") == "step 10"
    assert text(browser, "label-detail").endswith("~ 2 of 10 scored")
    assert "~s10" in text(browser, "ticks")
    # The first example is in the sample, the second is not.
    assert "F1" in text(browser, "verdict")
    assert max(heights(browser, "start")) > 0
    press(browser, "ArrowDown")
    assert text(browser, "verdict").startswith("– unknown not scored at this snapshot (2 of 10 scored)")
    assert max(heights(browser, "start")) == 0
    assert text(browser, "answers") == ""
    assert text(browser, "history").count("not scored") == 2
    press(browser, "]")
    assert text(browser, "readout") == "Not scored at this snapshot."
    assert "▼" not in text(browser, "passage")
    choose = "const s = document.getElementById('filter'); s.value = '{}'; s.dispatchEvent(new Event('change'))"
    listed = {}
    for name in ("wrong", "right", "learned", "forgotten", "scored", "all"):
        browser.run(f"{{ {choose.format(name)} }}")
        browser.drawn()
        listed[name] = int(text(browser, "count").split()[0])
    assert (listed["scored"], listed["all"]) == (2, 10)
    assert listed["wrong"] + listed["right"] == 2
    assert listed["learned"] + listed["forgotten"] <= 2
    browser.run("document.getElementById('fails').scrollIntoView()")
    browser.until("document.querySelector('#fails-table tbody tr').cells[1].textContent === '2'")
    assert browser.run("document.querySelectorAll('g.sampled circle').length") > 0
    assert "NaN" not in browser.run("document.body.innerText")
    press(browser, "End")
    assert "scored" not in text(browser, "label-detail")
    assert max(heights(browser, "start")) > 0
    assert browser.errors == []
