"""The page in a real browser, headless Chromium: what a person does with it, and hostile text.

Needs the package playwright and a Chromium of the system (apt-get install chromium).
"""

import shutil

import pytest

from azr_fast.observe.metrics import MetricsLog
from azr_fast.observe.page import write_page
from azr_fast.types import Role, Status

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed (apt-get install chromium)", allow_module_level=True)

pytestmark = pytest.mark.engine  # one browser at a time
WAIT = 60_000  # milliseconds; a bound on hangs


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=WAIT
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens the page of a run; fails when it asks the network for anything or a script breaks."""
    contexts, faults = [], []

    def open_page(where, **options):
        context = browser.new_context(**options)
        context.set_default_timeout(WAIT)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.on("console", lambda said: said.type == "error" and faults.append(said.text))
        own = (where.partition("#")[0], "data:")
        page.on("request", lambda asked: asked.url.startswith(own) or faults.append(asked.url))
        page.goto(where)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def page_of(folder, target):
    return write_page(folder, target / "page.html").as_uri()


def test_curves_are_drawn_and_switch_off_by_keyboard(open_page, finished, tmp_path):
    page = open_page(page_of(finished, tmp_path))
    assert page.title() == "one"
    chart = page.locator(".chart", has_text="Shares of all proposals")
    ink = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    assert chart.locator("canvas").evaluate(ink) > 10
    button = chart.get_by_role("button", name="learnable")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    hidden = "Chart.getChart(document.querySelector('.chart canvas')).isDatasetVisible(3)"
    assert page.evaluate(hidden) is False
    chart.get_by_text("numbers").click()
    assert chart.locator("tbody tr").first.inner_text().split() == [
        "1",
        "0.0%",
        "0.0%",
        "0.0%",
        "0.0%",
    ]
    assert chart.locator("tbody tr").last.inner_text().split() == ["8"] + ["100.0%"] * 4


def test_episodes_are_filtered_by_everything(open_page, finished, tmp_path):
    page = open_page(page_of(finished, tmp_path))
    count = page.locator("#count")
    everything = int(count.inner_text().split()[0])
    page.select_option("#f-role", "solver")
    page.select_option("#f-status", "wrong")
    assert count.inner_text() == f"7 of {everything} episodes"
    page.fill("#f-first", "3")
    page.fill("#f-last", "5")
    assert count.inner_text().startswith("3 of")
    assert "it is 3" in page.locator("#episode").inner_text()
    page.fill("#f-least", "0")
    assert count.inner_text().startswith("0 of")
    assert page.locator("#episode").inner_text() == "no episode fits these filters"
    page.get_by_role("button", name="all episodes").click()
    playwright.expect(count).to_have_text(f"{everything} of {everything} episodes")
    page.select_option("#f-code", "no_answer")
    assert page.locator("#list button").first.inner_text().split()[:2] == ["step", "7"]


def test_an_episode_shows_prompt_answer_task_and_why(open_page, finished, tmp_path):
    page = open_page(page_of(finished, tmp_path))
    page.select_option("#f-role", "solver")
    page.fill("#f-text", "IT IS 2")
    shown = page.locator("#episode").inner_text()
    for part in (
        "the prompt",
        "it is 2",
        "def f(x):\n    return x + 1",
        "passed: ok",
        "+1.00",
        "seen",
    ):
        assert part in shown


def test_the_keyboard_goes_through_the_episodes(open_page, finished, tmp_path):
    page = open_page(page_of(finished, tmp_path))
    first = page.url
    page.keyboard.press("j")
    second = page.url
    page.keyboard.press("j")
    third = page.url
    assert len({first, second, third}) == 3
    page.keyboard.press("k")
    assert page.url == second
    page.keyboard.press("/")
    page.keyboard.type("jk")  # a word for the search, no command
    assert page.input_value("#f-text") == "jk"
    page.keyboard.press("Escape")
    before = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") != before


def test_a_link_to_an_episode_opens_it(open_page, finished, tmp_path):
    page = open_page(page_of(finished, tmp_path))
    page.keyboard.press("j")
    page.keyboard.press("j")
    title = page.locator("#episode h3").first.inner_text()
    again = open_page(page.url)
    assert again.locator("#episode h3").first.inner_text() == title


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(
    open_page, run, write_steps, episode, tmp_path, width, scheme
):
    long = episode(
        "deduction", Role.SOLVER, Status.WRONG, "c" * 80, text="word" * 3000, reward=-0.5
    )
    write_steps(run, range(1, 4), lambda step: [long])
    screen = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    page = open_page(page_of(run.path, tmp_path), **screen)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert dark is (scheme == "dark")


HOSTILE = (
    "</script><script>alert(1)</script><img src=http://azr.invalid/x onerror=alert(2)>"
    "<svg onload=alert(3)><iframe srcdoc='<script>alert(4)</script>'>"
    "<style>*{display:none}</style><base href=http://azr.invalid/>"
    '" onmouseover="alert(5)" \' javascript:alert(6) {{constructor}} ${alert(7)} <!-- \u2028'
)


def test_hostile_text_stays_text(open_page, run, write_steps, episode, tmp_path):
    def answers(step):
        one = episode(HOSTILE, Role.SOLVER, Status.WRONG, HOSTILE, text=HOSTILE)
        other = episode("__proto__", Role.PROPOSER, Status.REJECTED, "constructor", text="toString")
        return [one, other]

    write_steps(run, [1, 2], answers)
    page = open_page(page_of(run.path, tmp_path))
    page.select_option("#f-role", "solver")
    shown = page.locator("#episode .turn.assistant pre").first.inner_text()
    assert shown == HOSTILE.replace("\u2028", "U+2028")
    assert page.locator("img, iframe, object, embed, base, main svg[onload]").count() == 0
    assert page.locator("script").count() == 3
    assert page.locator("style").count() == 1
    page.select_option("#f-kind", HOSTILE)
    page.mouse.move(640, 400)
    assert page.locator("#count").inner_text().startswith("2 of 4")


def test_characters_that_are_not_seen_are_named(open_page, run, write_steps, episode, tmp_path):
    text = "ok\u202e = \u2066x\u2069 zero\u200bwidth \x1b[31m tab\t\nline \U000e0041"
    answer = episode("deduction", Role.SOLVER, Status.WRONG, text=text)
    write_steps(run, [1], lambda step: [answer])
    page = open_page(page_of(run.path, tmp_path))
    turn = page.locator("#episode .turn.assistant pre").first
    assert turn.inner_text() == (
        "okU+202E = U+2066xU+2069 zeroU+200Bwidth U+001B[31m tab\t\nline U+E0041"
    )
    assert turn.evaluate("p => getComputedStyle(p).unicodeBidi") == "isolate"


def test_a_long_answer_is_shown_when_asked_for(open_page, run, write_steps, episode, tmp_path):
    answer = episode("deduction", Role.SOLVER, Status.WRONG, text="x" * 100_000 + "END")
    write_steps(run, [1], lambda step: [answer])
    page = open_page(page_of(run.path, tmp_path))
    turn = page.locator("#episode .turn.assistant pre").first
    assert "END" not in turn.inner_text()
    turn.get_by_role("button", name="show all 100003 characters").click()
    assert turn.inner_text().endswith("xEND")


def test_an_empty_run_says_so(open_page, run, tmp_path):
    page = open_page(page_of(run.path, tmp_path))
    assert "no step is finished yet" in page.locator("#about").inner_text()
    assert page.locator("#count").inner_text() == "0 of 0 episodes"


def test_a_served_page_follows_the_run(open_page, finished, serving, metrics_line):
    where = serving(finished)
    page = open_page(where)
    assert "8 of 500 steps" in page.locator("#about").inner_text()
    page.select_option("#f-role", "solver")
    log = MetricsLog(finished / "metrics.jsonl")
    log.append(metrics_line(9, []))
    log.close()
    about = page.locator("#about")
    playwright.expect(about).to_contain_text("9 of 500 steps", timeout=WAIT)
    assert page.input_value("#f-role") == "solver"
    assert page.locator("#count").inner_text().startswith("14 of")
