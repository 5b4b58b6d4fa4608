"""Colours: every pair that meets on a page keeps its contrast, and templates name no colour of their own."""

import re
from itertools import product

import pytest

from dashboard.env import BASE_DIR

STATIC = BASE_DIR / "static"
_TOKEN = re.compile(r"--([\w-]+):\s*light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)")
TOKENS = {
    name: {"light": light, "dark": dark} for name, light, dark in _TOKEN.findall((STATIC / "tokens.css").read_text())
}

GROUNDS = ("bg", "surface", "raised", "sunken")
PAIRS = [
    # (foreground, backgrounds, WCAG ratio it must keep on the worst of them)
    ("text", (*GROUNDS, "select"), 12.4),
    ("text2", (*GROUNDS, "select"), 7.2),
    ("text3", GROUNDS, 4.7),
    ("edge", GROUNDS, 3.0),
    ("accent", GROUNDS, 4.9),
    ("on-button", ("button",), 4.7),
    ("up", ("bg", "surface"), 3.0),
    ("degraded", ("bg", "surface"), 3.0),
    ("down", ("bg", "surface"), 4.5),
    ("up-text", (*GROUNDS, "up-bg"), 5.2),
    ("degraded-text", (*GROUNDS, "degraded-bg"), 5.4),
    ("down-text", (*GROUNDS, "down-bg"), 5.9),
    ("text", ("up-bg", "degraded-bg", "down-bg"), 12.9),
    ("text2", ("up-bg", "degraded-bg", "down-bg"), 7.3),
    ("on-down", ("down",), 5.8),
    ("prod-fg", ("prod-bg",), 16.0),
    ("quiet", GROUNDS, 7.0),
    *((f"phase-{phase}", ("surface",), 2.9) for phase in ("dns", "tcp", "tls", "upgrade", "race")),
    *((name, ("surface",), 2.9) for name in TOKENS if name.startswith(("strategy-", "owner-"))),
]


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    """WCAG 2's contrast ratio."""
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("foreground", "backgrounds", "floor"), PAIRS)
def test_a_pair_that_is_used_can_be_read_in_both_themes(
    foreground: str, backgrounds: tuple[str, ...], floor: float
) -> None:
    for theme, background in product(("light", "dark"), backgrounds):
        ratio = contrast(TOKENS[foreground][theme], TOKENS[background][theme])
        assert ratio >= floor, f"{foreground} on {background}, {theme}: {ratio:.2f}"


@pytest.mark.parametrize("name", ["console.css", "overview.css", "target.css", "plots.css"])
def test_stylesheets_take_every_colour_from_the_tokens(name: str) -> None:
    text = re.sub(r"/\*.*?\*/", "", (STATIC / name).read_text(), flags=re.DOTALL)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)", text.replace("#000)", "")) == []
    unknown = set(re.findall(r"var\(--([\w-]+)\)", text)) - set(re.findall(r"--([\w-]+):", text))
    assert unknown - set(re.findall(r"--([\w-]+):", (STATIC / "tokens.css").read_text())) == set()


def test_templates_and_scripts_carry_no_inline_style_or_handler() -> None:
    """The content security policy would block them: found here before a browser does."""
    for template in (BASE_DIR / "templates").rglob("*.html"):
        markup = template.read_text()
        assert not re.search(r"\sstyle=|\son\w+=\"|<style|<script>(?!</script>)|hx-on", markup), template
