"""The page in a browser: Debian's Chromium, or another one, driven by Playwright."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest

import convoi
from convoi.explorer.samples import samples
from convoi.signal.named import named_kernel
from tests.explorer.conftest import DIGITS

PATIENCE = 30
"""Seconds."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: the page was not tested"
)


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("Chromium is not installed: the page was not tested in a browser")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=path, args=["--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def page(browser, server):
    """Return the page, loaded once; it may have no error at the end."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    opened.set_default_timeout(60_000)
    errors = []
    opened.on("console", lambda message: errors.append(message.text))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(server.address)
    opened.wait_for_selector("#shift-statement strong")
    opened.wait_for_selector("#connections-table td")
    opened.wait_for_selector("#correlation .sum")
    yield opened
    opened.close()
    # A refused request is one that a test makes.
    assert not [error for error in errors if "400 (Bad Request)" not in error]


def numbers(page, selector):
    return np.array(page.eval_on_selector_all(selector, "all => all.map(e => +e.dataset.value)"))


def outputs(page, kind):
    return numbers(page, f"#{kind} .output [data-value]")


def change(page, answer, act):
    """Do something, and wait until the page shows what the server answers."""
    with page.expect_response(f"**/api/{answer}") as response:
        act()
    assert response.value.ok
    # The next frame comes after the page has taken the answer in.
    page.evaluate("() => new Promise(done => setTimeout(() => requestAnimationFrame(done), 0))")


def shows(page, kind, expected):
    found = outputs(page, kind)
    return found.shape == expected.shape and np.allclose(found, expected)


def check_operator(page, x, kernel, **options):
    for kind, function in (("convolution", convoi.convolve), ("correlation", convoi.correlate)):
        expected = function(x, kernel, **options).ravel()
        # The answer that was awaited may have been that to the change before, on a busy machine.
        end = time.monotonic() + PATIENCE
        while not shows(page, kind, expected) and time.monotonic() < end:
            page.wait_for_timeout(50)
        np.testing.assert_allclose(outputs(page, kind), expected, rtol=1e-12, atol=1e-12)


def test_both_operations_show_the_values_of_the_package(page):
    x, kernel = samples()["digit-3"].values, named_kernel("sobel", 2)
    check_operator(page, x, kernel, mode="same")
    change(page, "operate", lambda: page.select_option("#operator-kernel", "typed"))
    kernel = np.array([[0, 1.5, 2], [3, 4, -5]])
    change(page, "operate", lambda: page.fill("#operator-kernel-values", "0 1.5 2\n3, 4, -5"))
    form = page.locator("#operator-controls")
    change(page, "operate", lambda: form.get_by_label("Mode").select_option("full"))
    change(page, "operate", lambda: form.get_by_label("Boundary").select_option("reflect"))
    change(page, "operate", lambda: form.get_by_label("Stride").fill("2"))
    check_operator(page, x, kernel, mode="full", boundary="reflect", stride=2)
    form.get_by_label("Stride").fill("1")
    change(page, "operate", lambda: form.get_by_label("Mode").select_option("same"))
    change(page, "operate", lambda: form.get_by_label("Boundary").select_option("constant"))


def test_the_products_of_the_pointed_position_add_up(page):
    change(page, "operate", lambda: page.select_option("#operator-kernel", "sharpen"))
    page.focus("#convolution .output .grid")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    for kind in ("convolution", "correlation"):
        pointed = numbers(page, f"#{kind} .output .pointed")
        products = numbers(page, f"#{kind} .products .cell")
        assert len(pointed) == 1
        np.testing.assert_allclose(products.sum(), pointed[0])
        np.testing.assert_allclose(numbers(page, f"#{kind} .sum strong"), pointed)
        assert page.inner_text(f"#{kind} .check").startswith("= convoi.")
    x = samples()["digit-3"].values
    window = numbers(page, "#input-view .window").reshape(3, 3)
    np.testing.assert_array_equal(window, x[2:5, 0:3])


def test_a_signal_is_filtered_too(page):
    change(page, "operate", lambda: page.select_option("#operator-sample", "ecg"))
    change(page, "operate", lambda: page.select_option("#operator-kernel", "sobel"))
    check_operator(page, samples()["ecg"].values, named_kernel("sobel", 1), mode="same")


def test_what_cannot_be_computed_is_said_on_the_page(page):
    page.select_option("#operator-sample", "digit-3")
    page.select_option("#operator-kernel", "typed")
    page.fill("#operator-kernel-values", "1 2\n3 x")
    assert "Only numbers" in page.inner_text("#operator-error")
    page.fill("#operator-kernel-values", "1 " * 10)
    error = page.locator("#operator-error")
    playwright.expect(error).to_contain_text("1 to 9", timeout=60_000)
    change(page, "operate", lambda: page.fill("#operator-kernel-values", "1 2"))
    assert page.is_hidden("#operator-error")


def test_connections_are_counted(page):
    def figures(kind):
        cells = page.locator(f"#connections-table tr[data-kind={kind}] td").all_inner_texts()
        return [int(text) for text in cells]

    form = page.locator("#connections-controls")
    change(page, "connect", lambda: form.get_by_label("Inputs").fill("6"))
    change(page, "connect", lambda: form.get_by_label("Padding").select_option("valid"))
    assert figures("dense") == [24, 24, 4, 28]
    assert figures("local") == [12, 12, 4, 16]
    assert figures("tiled") == [12, 6, 2, 8]
    assert figures("convolutional") == [12, 3, 1, 4]
    assert page.locator("[data-kind=convolutional] line").count() == 12
    assert page.locator("[data-kind=convolutional] line.shared").count() == 9
    assert page.locator("[data-kind=local] line.shared").count() == 0


def test_outputs_move_with_the_input_and_pooled_ones_largely_stay(page):
    def shown(stage, which):
        values = numbers(page, f"[data-stage={stage}][data-which={which}] [data-value]")
        return values.reshape(round(len(values) ** 0.5), -1)

    form = page.locator("#shift-controls")
    change(page, "shift", lambda: form.get_by_label("To the right").press("ArrowRight"))
    change(page, "shift", lambda: form.get_by_label("Down").press("ArrowLeft"))
    for stage in ("inputs", "outputs"):
        before, after = shown(stage, "original"), shown(stage, "shifted")
        assert np.abs(before).max() > 0
        np.testing.assert_array_equal(after, np.roll(before, (-1, 2), axis=(0, 1)))
    assert page.inner_text("#shift-statement [data-figure=interior]") == "0"
    changed = [
        float(np.mean(shown(stage, "original") != shown(stage, "shifted")))
        for stage in ("outputs", "pooled")
    ]
    assert changed[1] < changed[0]


def test_a_drawn_digit_is_recognised_and_its_layers_are_shown(page, model):
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    for digit in (0, 3):
        page.click("#pad-clear")
        for stroke in DIGITS[digit]:
            points = [
                (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke
            ]
            page.mouse.move(*points[0])
            page.mouse.down()
            for point in points[1:]:
                page.mouse.move(*point)
            page.mouse.up()
        playwright.expect(page.locator("#label")).to_have_text(str(digit), timeout=60_000)
    assert page.locator("#layers canvas").count() == len(model.network_.graph.nodes)
    assert float(page.get_attribute("#latency", "data-milliseconds")) > 0


def test_the_keyboard_draws_too(page):
    page.focus("#pad")
    page.keyboard.press("Escape")
    for _ in range(8):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(16):
        page.keyboard.press("ArrowDown")
    playwright.expect(page.locator("#label")).to_have_text("1", timeout=60_000)


def test_nothing_is_wider_than_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
