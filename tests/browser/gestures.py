"""What a hand does on a target's charts."""

from playwright.sync_api import Page, expect


def drag(page: Page, key: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Over a plot from one place to another, as shares of its box."""
    plot = page.locator(f"#chart-{key} .plot")
    plot.scroll_into_view_if_needed()
    expect(plot.locator(".main-svg").first).to_be_visible()
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=4)
    page.mouse.up()


def zoom(page: Page) -> None:
    """To where the fault began, and list the probes of a column there."""
    drag(page, "race", (0.65, 0.5), (0.95, 0.5))
    page.get_by_role("button", name="Go live").wait_for()
    page.get_by_label("Time cursor").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.locator("#probe .bucket-list").wait_for()


def pick(page: Page) -> None:
    """What is slow or never ready, and ask what is different about it."""
    drag(page, "heat", (0.75, 0.1), (0.97, 0.55))
    page.get_by_role("button", name="What is different about these?").click()
    page.locator("#probe .traits").wait_for()
