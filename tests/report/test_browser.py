"""The page in a real browser, from a file: what it loads, what is seen of it, and what a keyboard reaches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers.browsers import Browser, not_blank

from mobilenet_chest.report import report

if TYPE_CHECKING:
    from helpers.stores import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TAB, ENTER = "\ue004", "\ue007"

SCHEMES = ("light", "dark")
WIDTHS = {"wide": 1280, "narrow": 375}

BOXES = """
return [...document.querySelectorAll(arguments[0])].map(e => {
  const r = e.getBoundingClientRect();
  return {what: e.tagName + ' ' + (e.id || e.textContent).slice(0, 60), left: r.left, right: r.right, top: r.top,
          bottom: r.bottom, width: r.width, height: r.height};
});
"""

TEXTS_BY_DRAWING = """
return [...document.querySelectorAll('svg[role=img]')].map(svg => {
  const box = e => { const r = e.getBoundingClientRect();
                     return {what: e.textContent, left: r.left, right: r.right, top: r.top, bottom: r.bottom} };
  return {drawing: box(svg), texts: [...svg.querySelectorAll('text')].map(box)};
});
"""

COLORS = """
const channels = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
const ground = e => { while (e) { const c = getComputedStyle(e).backgroundColor;
                                  if (!/, 0\\)$|transparent/.test(c)) return channels(c); e = e.parentElement; } };
return arguments[0].map(selector => {
  const e = document.querySelector(selector);
  const style = getComputedStyle(e);
  return {selector, ink: channels(e.closest('svg') ? style.fill : style.color), ground: ground(e)};
});
"""


@pytest.fixture(scope="module")
def page(finished: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A page about the study, with a baseline, whose names are long."""
    from helpers.stores import STUDY, copied, working_in

    copy = copied(finished, tmp_path_factory.mktemp("browsed") / "store")
    with working_in(copy.folder):
        copy.client.log_metric(copy.study_run, "importance.model.dropout", 1.0)
        copy.client.update_run(copy.single, name="baseline-with-a-very-long-name-that-has-no-place-to-break-in-it")
        out = copy.folder / "report.html"
        assert report([STUDY], out, baseline=copy.single, reported=True).size < 5_000_000
        yield out


def shown(browser: Browser, page: Path, scheme: str = "light", width: int = 1280) -> None:
    browser.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.devtools("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    browser.open(page.as_uri())
    browser.run("document.querySelectorAll('details').forEach(e => e.open = true)")


def test_it_loads_nothing_and_complains_of_nothing(page: Path, browser: Browser) -> None:
    browser.open("about:blank")
    for kind in ("browser", "performance"):
        browser.log(kind)
    shown(browser, page)
    browser.wait_for("dropout-study", "Provenance")
    assert browser.log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_everything_is_seen_at_any_width_in_both_schemes(
    page: Path, browser: Browser, pictures: Path, scheme: str, width: str
) -> None:
    shown(browser, page, scheme, WIDTHS[width])
    assert browser.run("return document.documentElement.scrollWidth") <= WIDTHS[width]
    boxes = browser.run(BOXES, "svg, img, table, figure, section, details > *")
    assert len([box for box in boxes if box["what"].startswith("svg")]) > 6
    assert not [box["what"] for box in boxes if box["width"] < 5 or box["height"] < 5]
    for plot in browser.run(TEXTS_BY_DRAWING):
        frame = plot["drawing"]
        for text in plot["texts"]:
            assert frame["left"] - 1 <= text["left"] < text["right"] <= frame["right"] + 1, text
            assert frame["top"] - 1 <= text["top"] < text["bottom"] <= frame["bottom"] + 1, text
        assert not [(a["what"], b["what"]) for a, b in combinations(plot["texts"], 2) if overlap(a, b)]
    assert not_blank(browser.screenshot(pictures / f"report_{scheme}_{width}.png"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_has_the_contrast_of_wcag_aa(page: Path, browser: Browser, scheme: str) -> None:
    shown(browser, page, scheme)
    selectors = ["h1", ".answer p", ".answer li", ".soft", "nav a", "caption", "td", "figcaption", ".missing",
                 "summary", "svg text", "svg .tick", ".pictures .row", "dt", "footer p"]  # fmt: skip
    colors = browser.run(COLORS, selectors)
    ratios = {color["selector"]: contrast(color["ink"], color["ground"]) for color in colors}
    assert not {selector: ratio for selector, ratio in ratios.items() if ratio < 4.5}
    dark = sum(browser.run(COLORS, ["h1"])[0]["ground"]) < 200
    assert dark == (scheme == "dark")


def test_the_keyboard_reaches_the_skip_link_the_contents_and_every_table(page: Path, browser: Browser) -> None:
    shown(browser, page)
    browser.press(TAB)
    assert focused(browser)["class"] == "skip"
    assert browser.run("return document.activeElement.getBoundingClientRect().top") >= 0
    browser.press(ENTER)
    assert browser.run("return location.hash") == "#main"
    regions = browser.run("return document.querySelectorAll('.scroll').length")
    reached, outlines = set(), set()
    for _ in range(3 * regions):
        browser.press(TAB)
        element = focused(browser)
        if element["class"] == "scroll":
            reached.add(element["label"])
            outlines.add(element["outline"])
    assert len(reached) == regions
    assert outlines == {"solid"}


def test_a_screen_reader_hears_what_the_figures_show(page: Path, browser: Browser) -> None:
    shown(browser, page)
    nodes = browser.devtools("Accessibility.getFullAXTree")["nodes"]
    by_role: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        if not node.get("ignored"):
            by_role.setdefault(node["role"]["value"], []).append(node)
    assert {"banner", "navigation", "main", "contentinfo"} <= by_role.keys()
    images = [node["name"]["value"] for node in by_role["image"]]
    assert all(images)
    assert len([name for name in images if name.startswith("ROC curve ")]) == 1
    tables = [node["name"]["value"] for node in by_role["table"]]
    assert len(tables) == browser.run("return document.querySelectorAll('table').length")
    assert all(tables)


def focused(browser: Browser) -> dict[str, str]:
    element: dict[str, str] = browser.run(
        "const e = document.activeElement; return {class: e.className, label: e.getAttribute('aria-labelledby'), "
        "outline: getComputedStyle(e).outlineStyle}"
    )
    return element


def overlap(first: dict[str, float], second: dict[str, float]) -> bool:
    across = min(first["right"], second["right"]) - max(first["left"], second["left"])
    down = min(first["bottom"], second["bottom"]) - max(first["top"], second["top"])
    return across > 1 and down > 3  # line boxes are taller than what is written in them


def contrast(ink: list[float], ground: list[float]) -> float:
    """Contrast ratio of two sRGB colours (WCAG 2.2, 1.4.3)."""

    def luminance(color: list[float]) -> float:
        linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
