"""The clinician's whole work in the browser, on the study that comes with the package, read by the networks that ship."""

import re
import time
from pathlib import Path

import httpx2
import numpy as np
import pytest

from lumbar.landmarks.table import read_landmarks
from tests.desks import a_film_file, awaited, served

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium here; with apt: make system")

ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
).split()
SIZES = {"desk": (1440, 900), "tablet": (1024, 768), "telephone": (390, 844)}
CORNER = "L4_inferior_posterior"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A desk with the example study, read."""
    with served("--data", tmp_path_factory.mktemp("desk"), "--threads", 2) as (address, _):
        with httpx2.Client(base_url=address) as client:
            study = client.post("/api/studies/example?author=Ada").json()
            assert awaited(client, study["id"])["status"] == "open"
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def sit(browser, address):
    """Opens the page in a size as somebody; whatever the page complains of, or asks of another host, fails the test."""
    complaints, contexts = [], []

    def open_page(size="desk", who="Ada", at=address):
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, has_touch=size != "desk")
        context.add_init_script(f"localStorage.getItem('author') || localStorage.setItem('author', '{who}')")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on(
            "console",
            lambda m: complaints.append(m.text) if m.type == "error" and not re.search("409|503", m.text) else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((at, "blob:", "data:")) else complaints.append(r.url))
        page.goto(at)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def opened(page):
    page.get_by_role("button", name="Example (simulated)").click()
    page.locator(f".pane.active [data-corner={CORNER}]").wait_for()
    until(page, lambda: not page.locator(".loading").count())
    return page


def level(page, site="L4/L5", panel=".motion"):
    """The texts of a level's row."""
    return page.locator(f"{panel} tr[data-site='{site}'] td").all_inner_texts()


def until(page, true, *, limit_s=60):
    """Wait for `true()`: the page's own policy forbids Playwright's way of waiting, which evaluates text inside it."""
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        page.wait_for_timeout(30)


def middle(page, selector):
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page, start, by, drop=True):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + by[0], start[1] + by[1], steps=5)
    if drop:
        page.mouse.up()


def kept(page, version):
    page.locator(".pane.active header", has_text=f"v{version} ").wait_for()
    until(page, lambda: not page.locator(".saving").inner_text())


def film_pixels(page):
    """Brightness of the first film's canvas, summed: another window gives another sum."""
    return page.evaluate(
        """() => { const c = document.querySelector('.frame canvas'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let s = 0; for (let i = 0; i < d.length; i += 4) s += d[i]; return s / d.length * 4; }"""
    )


def test_the_whole_work(sit):
    page = opened(sit())
    assert page.locator(".pane").count() == 3
    assert page.locator(".pane header b").all_inner_texts() == ["Flexion", "Neutral", "Extension"]
    before, figures = level(page), level(page, panel="[aria-label='Measurements of this film']")

    shown = film_pixels(page)  # window by dragging where no corner is
    frame = page.locator(".pane.active .frame").bounding_box()
    drag(page, (frame["x"] + 30, frame["y"] + 60), (60, 90))
    until(page, lambda: abs(film_pixels(page) - shown) > 3)

    start = middle(page, f".pane.active [data-corner={CORNER}] .dot")  # a corner, under the loupe
    drag(page, start, (-26, 2), drop=False)
    page.locator(".loupe").wait_for()
    until(page, lambda: level(page) != before)
    page.mouse.up()
    kept(page, 2)
    after = level(page)
    assert after != before and level(page, panel="[aria-label='Measurements of this film']") != figures
    assert "stable" in before[0] and "undetermined" in after[0]  # the verdict follows
    assert page.locator(f".pane.active .corner.moved[data-corner={CORNER}]").count() == 1

    page.keyboard.press("u")
    kept(page, 3)
    until(page, lambda: level(page) == before and page.locator(".pane.active .corner.moved").count() == 0)
    page.keyboard.press("y")
    kept(page, 4)
    until(page, lambda: level(page) == after)

    page.keyboard.press("PageUp")  # names, on all three films
    kept(page, 5)
    until(page, lambda: page.locator(".pane [data-corner=S1_superior_anterior]").count() == 0)
    page.keyboard.press("r")
    kept(page, 6)
    page.keyboard.press("2")
    page.keyboard.press("r")
    page.keyboard.press("3")
    page.keyboard.press("r")
    kept(page, 3)
    until(page, lambda: page.locator(".pane [data-corner=S1_superior_anterior]").count() == 3)
    until(page, lambda: level(page) == before)

    page.keyboard.press("s")
    page.get_by_label("Comment").fill("as predicted")
    page.get_by_role("button", name="Sign and stay").click()
    page.locator(".status.signed").wait_for()
    page.keyboard.press("j")  # nothing else is open: the worklist
    page.get_by_role("heading", name="Worklist").wait_for()
    page.get_by_role("button", name=re.compile("^signed")).click()
    page.locator("tr", has_text="Example (simulated)").get_by_text("signed", exact=True).wait_for()


def test_a_late_answer_to_another_filter_is_not_shown(sit):
    page, held = sit(), []
    page.route("**/api/studies?*status=open*", lambda route: held.append(route))
    page.get_by_role("button", name=re.compile("^signed")).click()
    page.get_by_role("button", name=re.compile("^to do")).click()
    until(page, lambda: held)
    page.get_by_role("button", name=re.compile("^all")).click()
    study = page.get_by_role("button", name="Example (simulated)")
    study.wait_for()
    answer = held[0].fetch().json()
    with page.expect_response("**/api/studies?*status=open*"):
        held[0].fulfill(json={**answer, "studies": []})
    page.wait_for_timeout(300)
    assert study.is_visible()


def test_a_corner_is_moved_by_keys_alone(sit):
    page = sit()
    page.get_by_role("button", name=re.compile("^all")).click()
    opened(page)
    version = int(re.search(r"v(\d+)|prediction", page.locator(".pane.active header").inner_text()).group(1) or 1)
    for _ in range(3):
        page.keyboard.press("n")
    chosen = page.locator(".pane.active .corner.chosen")
    assert chosen.get_attribute("data-corner") == "L1_inferior_anterior"
    x = float(re.search(r"x ([\d.]+)", chosen.get_attribute("aria-label")).group(1))
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Alt+ArrowRight")
    kept(page, version + 1)

    def moved_to():
        return float(re.search(r"x ([\d.]+)", chosen.get_attribute("aria-label")).group(1))

    until(page, lambda: moved_to() == pytest.approx(x + 11.2, abs=0.11))
    page.keyboard.press("x")
    kept(page, version + 2)
    until(page, lambda: page.locator(".pane.active [data-corner^=L1]").count() == 0)
    page.keyboard.press("r")
    kept(page, version + 3)
    until(page, lambda: page.locator(".pane.active [data-corner^=L1]").count() == 4)


def test_the_view_obeys(sit):
    page = sit()
    page.get_by_role("button", name=re.compile("^all")).click()
    opened(page)
    shown = film_pixels(page)
    page.keyboard.press("i")
    until(page, lambda: abs(film_pixels(page) - shown) > 5)
    page.keyboard.press("i")
    for key, selector, there in (
        ("e", ".overlay ellipse", 66),
        ("c", ".overlay .wall", 0),
        ("l", ".overlay text", 0),
        ("b", ".overlay", 0),
    ):
        page.keyboard.press(key)
        until(page, lambda s=selector, n=there: page.locator(s).count() == n)
    page.keyboard.press("b")
    width = page.locator(".pane.active .frame").bounding_box()["width"]
    page.keyboard.press("v")
    until(page, lambda: page.locator(".pane").count() == 1)
    until(page, lambda: page.locator(".pane.active .frame").bounding_box()["width"] > 2.5 * width)

    def apart():
        a, b = (
            middle(page, f".pane.active [data-corner={c}] .dot")
            for c in ("L1_superior_anterior", "L5_inferior_anterior")
        )
        return abs(a[1] - b[1])

    tall = apart()
    page.keyboard.press("+")
    until(page, lambda: apart() == pytest.approx(1.25 * tall, rel=0.02))
    page.keyboard.press("f")
    page.keyboard.press("f")
    until(page, lambda: apart() == pytest.approx(tall, rel=0.02))
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").get_by_text("back to the prediction").wait_for()
    page.keyboard.press("Escape")
    until(page, lambda: page.get_by_role("dialog").count() == 0)


def test_linked_films_show_the_level_at_the_same_place(sit):
    page = sit()
    page.get_by_role("button", name=re.compile("^all")).click()
    opened(page)
    page.locator(".motion tr[data-site='L3/L4'] button").click()
    places = []
    for pane in page.locator(".pane").all():
        frame = pane.locator(".frame").bounding_box()
        dots = [pane.locator(f"[data-corner={c}] .dot").bounding_box() for c in (
            "L3_inferior_anterior", "L3_inferior_posterior", "L4_superior_anterior", "L4_superior_posterior")]  # fmt: skip
        places.append(sum(d["y"] + d["height"] / 2 for d in dots) / 4 - frame["y"])
    assert max(places) - min(places) < 2


def test_two_people_at_one_film_hear_of_each_other(sit):
    pages = []
    for who in ("Ada", "Bob"):
        page = sit(who=who)
        page.get_by_role("button", name=re.compile("^all")).click()
        pages.append(opened(page))
    ada, bob = pages
    for page in (ada, bob):
        page.keyboard.press("n")
        page.keyboard.press("Shift+ArrowRight")
    alarms = [page.locator(".alarm") for page in pages]
    until(ada, lambda: any(alarm.count() for alarm in alarms))
    (told,) = [alarm.inner_text() for alarm in alarms if alarm.count()]
    assert re.search("(Ada|Bob) changed this film meanwhile", told) and "was not kept" in told


@pytest.mark.parametrize("size", SIZES)
def test_it_fits_every_size(sit, size, tmp_path):
    page = sit(size)
    page.get_by_role("button", name=re.compile("^all")).click()
    opened(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    for table in page.locator(".panels table.figures:visible").all():
        inside = table.evaluate("t => t.scrollWidth - t.parentElement.clientWidth")
        assert inside <= 1, table.inner_text()
    page.screenshot(path=tmp_path / f"{size}.png")
    assert (tmp_path / f"{size}.png").stat().st_size > 50_000


def test_a_finger_moves_a_corner_and_two_zoom(sit):
    page = sit("tablet")
    page.get_by_role("button", name=re.compile("^all")).click()
    opened(page)
    frame = page.locator(".pane.active .frame")
    x, y = middle(page, f".pane.active [data-corner={CORNER}] .dot")
    before = page.locator(f".pane.active [data-corner={CORNER}]").get_attribute("aria-label")
    touch = page.context.new_cdp_session(page)

    def send(kind, *points):
        touch.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": px, "y": py, "id": i} for i, (px, py) in enumerate(points)]},
        )

    send("touchStart", (x + 6, y))
    for step in range(1, 6):
        send("touchMove", (x + 6 - 3 * step, y))
    send("touchEnd")
    page.locator(f".pane.active .corner.moved[data-corner={CORNER}]").wait_for()
    assert page.locator(f".pane.active [data-corner={CORNER}]").get_attribute("aria-label") != before
    box = frame.bounding_box()
    cx, cy = box["x"] + box["width"] / 2, box["y"] + 40
    a, b = (
        middle(page, f".pane.active [data-corner={c}] .dot")[1]
        for c in ("L1_superior_anterior", "L2_superior_anterior")
    )
    send("touchStart", (cx - 20, cy), (cx + 20, cy))
    for step in range(1, 6):
        send("touchMove", (cx - 20 - 4 * step, cy), (cx + 20 + 4 * step, cy))
    send("touchEnd")

    def apart():
        c, d = (
            middle(page, f".pane.active [data-corner={c}] .dot")[1]
            for c in ("L1_superior_anterior", "L2_superior_anterior")
        )
        return d - c

    until(page, lambda: apart() > 1.4 * (b - a))


def test_colours_can_be_told_apart_by_everybody(sit):
    """WCAG 2.2 AA: 4.5 to 1 for every text that is shown, dark and light, on the worklist and at the desk."""
    page = sit()
    page.get_by_role("button", name=re.compile("^all")).click()
    for _ in range(2):
        assert page.evaluate(POOR_CONTRASTS) == []
        page.keyboard.press("d")
        page.wait_for_timeout(250)
    opened(page)
    page.locator(".motion tr[data-site='L3/L4'] button").click()
    for _ in range(2):
        assert page.evaluate(POOR_CONTRASTS) == []
        page.keyboard.press("d")
        page.wait_for_timeout(250)


POOR_CONTRASTS = """() => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
  const rgba = (css) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1); const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const poor = [];
  for (const element of document.querySelectorAll('#desk *')) {
    const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join('');
    if (!text || !element.checkVisibility() || element.closest('svg, .frame, :disabled, option')) continue;
    const chain = []; for (let e = element; e; e = e.parentElement) chain.unshift(rgba(getComputedStyle(e).backgroundColor));
    const back = chain.reduce((under, top) => over(top, under), [255, 255, 255, 1]);
    const front = over(rgba(getComputedStyle(element).color), back);
    const [hi, lo] = [light(back), light(front)].sort((a, b) => b - a);
    const ratio = (hi + 0.05) / (lo + 0.05);
    if (ratio < 4.5) poor.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


def test_everything_that_can_be_used_has_a_name(sit):
    page = sit()
    page.get_by_role("button", name=re.compile("^all")).click()
    opened(page)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "combobox", "textbox", "link", "checkbox", "searchbox", "dialog", "table")
    usable = [n for n in tree if not n["ignored"] and n["role"]["value"] in roles]
    unnamed = [n for n in usable if n["role"]["value"] != "table" and not n.get("name", {}).get("value")]
    assert len(usable) > 80 and unnamed == []
    names = {n["name"]["value"] for n in usable if n.get("name")}
    assert any(name.startswith("L4 inferior posterior, predicted") for name in names)


def test_a_film_is_marked_from_nothing(sit, tmp_path):
    """Research: each click places the next corner, and what is signed lies in the reader's folder."""
    (tmp_path / "0001-F-050Y1.png").write_bytes(a_film_file())
    with served("--annotate", tmp_path, "--reader", "ada") as (address, _):
        page = sit(at=address)
        page.get_by_role("button", name="0001-F-050Y1.png").click()
        frame = page.locator(".frame")
        frame.wait_for()
        until(page, lambda: not page.locator(".loading").count())
        box = frame.bounding_box()
        for i, corner in enumerate(("L1_superior_anterior", "L1_superior_posterior", "L1_inferior_anterior")):
            page.mouse.click(box["x"] + 300 + 60 * (i % 2), box["y"] + 150 + 40 * (i // 2))
            page.locator(f"[data-corner={corner}]").wait_for()
            kept(page, i + 2)
        page.locator(".corners .mini[aria-pressed=true][aria-label='L1 inferior posterior, absent']").wait_for()
        page.keyboard.press("s")
        page.get_by_role("button", name="Sign and stay").click()
        page.locator(".status.signed").wait_for()
        page.screenshot(path=tmp_path / "marked.png")
    points = read_landmarks(tmp_path / "readers" / "ada" / "0001-F-050Y1.csv")
    assert np.isfinite(points[:3]).all() and np.isnan(points[3:]).all()
    assert points[0, 0] < points[1, 0] and points[2, 1] > points[0, 1]


def test_a_correction_that_cannot_be_kept_is_said_and_not_shown_as_kept(sit):
    page = sit()
    page.get_by_role("button", name=re.compile("^all")).click()
    opened(page)
    before = level(page)
    page.route("**/corrections*", lambda route: route.fulfill(status=503, json={"detail": "the disk is full"}))
    drag(page, middle(page, f".pane.active [data-corner={CORNER}] .dot"), (-20, 0))
    page.locator(".alarm", has_text="the disk is full").wait_for()
    until(page, lambda: level(page) == before)
    page.unroute("**/corrections*")
