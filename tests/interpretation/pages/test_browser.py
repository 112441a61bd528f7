"""The report in headless Chromium; skipped where there is no Chromium (`playwright install`)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    with sync_api.sync_playwright() as playwright:
        path = found or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium")
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an evaluated run, with a scene of each kind and an image of one's own."""
    from PIL import Image

    from nsi_cli import api

    folder = tmp_path_factory.mktemp("report")
    run = folder / "run"
    shutil.copytree(trained, run)
    api.evaluate(run)
    Image.new("RGB", (60, 60), (200, 90, 30)).save(folder / "own.png")
    return api.interpret(run, images=[folder / "own.png"], scenes=3, top=2)


@pytest.fixture
def page(browser, report: Path) -> Iterator[object]:
    """The report, open; fails the test for an error in the console and for a request."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "request",
        lambda request: (
            request.url.startswith(("file:", "data:")) or complaints.append(request.url)
        ),
    )
    opened.goto(report.as_uri())
    yield opened
    context.close()
    assert complaints == []


def test_every_section_is_on_the_page_and_in_the_contents(page) -> None:
    names = ["overview", "scenes", "encode", "map", "failures", "method"]
    for name in names:
        assert page.locator(f"section#{name}").is_visible()
    links = page.locator(".contents a")
    assert [link.get_attribute("href") for link in links.all()] == [f"#{name}" for name in names]
    assert page.locator(".curves polyline").count() >= 4
    assert page.locator("#report-data").count() == 1


def shown(card) -> dict[str, object]:
    """Which slot a card lights, by its mask, its row and its peak."""
    look = card.locator(".look")
    lit = "lit" in (look.get_attribute("class") or "")
    return {
        "mask": look.evaluate("part => part.style.getPropertyValue('--lit')") if lit else None,
        "rows": [row.get_attribute("data-slot") for row in card.locator("tr.on-row").all()],
        "peaks": [peak.get_attribute("data-slot") for peak in card.locator(".peak.on").all()],
    }


def test_mouse_and_keyboard_light_the_slot_that_the_data_says(page) -> None:
    cards = json.loads(page.locator("#report-data").text_content())
    assert [len(card["objects"]) > 0 for card in cards] == [False, True, True, True]
    for data in cards[1:]:
        card = page.locator(f"#{data['anchor']}")
        card.scroll_into_view_if_needed()
        rows = card.locator(".objects tbody tr")
        assert rows.count() == len(data["objects"])
        for number, found in enumerate(data["objects"][:3]):
            slot, same = str(found["slot"]), [
                str(one["slot"]) for one in data["objects"] if one["slot"] == found["slot"]
            ]  # fmt: skip
            expected = {"mask": f"var(--m{slot})", "rows": same, "peaks": [slot]}
            rows.nth(number).hover()
            assert shown(card) == expected
            page.mouse.move(0, 0)
            assert shown(card)["mask"] is None
            rows.nth(number).focus()
            assert shown(card) == expected
            page.keyboard.press("Enter")
            rows.nth(number).blur()
            assert shown(card) == expected  # kept
            rows.nth(number).focus()
            page.keyboard.press("Escape")
            assert shown(card)["mask"] is None


def test_a_slot_of_an_own_image_lights_up(page) -> None:
    card = page.locator("#image-1")
    card.locator(".slots figure").nth(3).hover()
    assert shown(card)["mask"] == "var(--m3)"


def test_masks_can_be_switched_and_faded(page) -> None:
    root = page.locator("html")
    kinds = page.locator("[data-kind]")
    for kind in kinds.all():
        kind.click()
        assert root.get_attribute("data-masks") == kind.get_attribute("data-kind")
        assert kind.get_attribute("aria-pressed") == "true"
    assert kinds.count() == 2
    page.locator("#opacity").fill("40")
    veil = page.locator(".slots .veil").first
    assert veil.evaluate("part => getComputedStyle(part).opacity") == "0.4"


def test_the_map_says_what_is_under_the_pointer(page) -> None:
    canvas = page.locator("#map-canvas")
    canvas.scroll_into_view_if_needed()
    data = json.loads(page.locator("#map-data").text_content())
    box, margin = canvas.bounding_box(), 14
    number = max(range(data["slots"]), key=lambda one: data["projections"]["PCA"][one][0])
    x, y = data["projections"]["PCA"][number]
    page.mouse.move(
        box["x"] + margin + x * (box["width"] - 2 * margin),
        box["y"] + margin + (1 - y) * (box["height"] - 2 * margin),
    )
    hover = page.locator("#map-hover")
    assert hover.is_visible()
    scene = data["scenes"][number // data["perScene"]]
    words = data["objects"][number] or "no object"
    assert hover.text_content() == f"slot {number % data['perScene'] + 1} · {words} · {scene}"
    for colour in data["colours"]:
        page.locator("#map-colour").select_option(colour["name"])
        entries = page.locator("#map-legend li").all_text_contents()
        assert entries[-1] == "no object"
        assert entries[:-1] == colour.get("values", [" to ".join(colour.get("range", []))])


TOO_WIDE = """() => [...document.querySelectorAll("main *, header *")].filter((part) => {
  const box = part.getBoundingClientRect();
  return box.width && part.checkVisibility() && box.right > innerWidth + 1
    && !part.parentElement.closest(".scroll");
}).map((part) => part.outerHTML.slice(0, 80))"""

OVERLAPS = """() => {
  const found = [];
  for (const parent of document.querySelectorAll("main, section, .card, .columns, .wrong, .bar, "
      + ".shelf, .curves, .tiles, .groups, .range, .failed, header.page")) {
    const children = [...parent.children].filter((part) => {
      const style = getComputedStyle(part), box = part.getBoundingClientRect();
      return part.checkVisibility() && box.width && box.height
        && !["absolute", "sticky", "fixed"].includes(style.position);
    });
    for (const [number, one] of children.entries()) for (const other of children.slice(number + 1)) {
      const a = one.getBoundingClientRect(), b = other.getBoundingClientRect();
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1 && high > 1) found.push(one.outerHTML.slice(0, 60) + " / " + other.outerHTML.slice(0, 60));
    }
  }
  return found;
}"""  # noqa: E501


@pytest.mark.parametrize("width", [390, 1600])
def test_nothing_overlaps_or_leaves_the_window(page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(
        "document.querySelectorAll('details').forEach(part => part.open = true);"
        "document.querySelectorAll('.card').forEach("
        "part => part.style.contentVisibility = 'visible')"
    )
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate(OVERLAPS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    faults = axe.Axe().run(page).response["violations"]
    serious = [
        (fault["id"], [node["html"][:100] for node in fault["nodes"][:3]])
        for fault in faults
        if fault["impact"] in {"serious", "critical"}
    ]
    assert serious == []
