"""What a stranger sees of the page without touching it, on a desk and on a phone."""

from typing import Any

# Narrow ones of each kind.
SCREENS = {"desk": (1280, 800), "phone": (390, 844)}
# What matters, how many customers there are, with whom to start, why and with what, and how their list is had.
AT_ONCE = (".gist", ".tiles li:first-child", ".start h2", ".start .why", ".start .list code", ".start .copy")
INSIDE = """
all => all.map(it => it.getBoundingClientRect()).map(({top, left, right, bottom, width}) =>
    width > 0 && top >= 0 && left >= 0 && right <= innerWidth && bottom <= innerHeight)
"""


def what_is_seen(page: Any, screen: str) -> dict[str, str]:
    """The texts of `AT_ONCE` as they stand on a screen on which the page has just been opened.

    Args:
        page: The page, in a browser.
        screen: One of `SCREENS`.

    Returns:
        Texts by what they are; nothing that does not wholly lie on the screen.
    """
    width, height = SCREENS[screen]
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("scrollTo(0, 0)")
    found = {name: page.locator(name) for name in AT_ONCE}
    return {name: it.first.inner_text() for name, it in found.items() if it.first.evaluate_all(INSIDE) == [True]}


def tiles_seen(page: Any) -> list[bool]:
    """Of each figure whether it lies on the screen."""
    seen: list[bool] = page.locator(".tiles li").evaluate_all(INSIDE)
    return seen


def lines_of_menu(page: Any) -> int:
    """How many lines the menu takes."""
    tops: list[float] = page.eval_on_selector_all(".menu a", "all => all.map(it => it.getBoundingClientRect().top)")
    return len(set(tops))
