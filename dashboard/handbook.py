"""The pages of docs/ as HTML: Markdown rendered once per version of a file, with anchors and a table of contents.

What a page may contain is decided here and not by its author: HTML in it is shown as text (comments are left out),
links lead to pages of docs/, to addresses of this server, or to http(s), and nothing carries a style.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from dashboard.env import BASE_DIR

FOLDER = BASE_DIR / "docs"
INDEX = "README"
ADDRESS = "/docs/"
_TOC_LEVELS = ("h2", "h3")
_COMMENTS = re.compile(r"<!--.*?-->", re.DOTALL)
_CACHED_PAGES = 64
"""More than there are, so that each is rendered once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a table of contents; `level` is 2 or 3."""

    level: int
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its title as text, what follows the title as HTML, and everything that a link may lead to."""

    name: str
    title: str
    html: str
    contents: tuple[Entry, ...]
    anchors: frozenset[str]
    links: tuple[str, ...]
    """Every address in it, as the browser will see it."""


def names() -> list[str]:
    """Every page but the index, by name; empty where the documentation was not installed."""
    return sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != INDEX)


def page(name: str) -> Page | None:
    """The page called `name` (`INDEX` for the first one); None where there is none. A name is never used as a path."""
    path = next((each for each in FOLDER.glob("*.md") if each.stem == name), None)
    return _rendered(path, path.stat().st_mtime_ns) if path else None


@lru_cache(maxsize=_CACHED_PAGES)
def _rendered(path: Path, version: int) -> Page:  # a new version of the file is a new page
    return render(path.stem, path.read_text(encoding="utf-8"))


def render(name: str, text: str) -> Page:
    """`text`, a page in Markdown, as HTML. Any text gives a page: nothing raises."""
    tokens = _MARKDOWN.parse(text)
    title, tokens = _without_title(tokens, name)
    anchors: set[str] = set()
    contents = tuple(_anchor_headings(tokens, anchors))
    _anchor_rows(tokens, anchors)
    links = tuple(_redirect_links(tokens))
    _tidy_tables(tokens)
    html = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return Page(name, title, html, contents, frozenset(anchors), links)


def slug(text: str) -> str:
    """The anchor of a heading, as GitHub makes it, so that a link works in both places."""
    kept = re.sub(r"[^\w\- ]", "", text.strip().lower())
    return kept.replace(" ", "-")


def _without_title(tokens: Sequence[Token], name: str) -> tuple[str, list[Token]]:
    """The first heading is the page's title, which the template shows."""
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            return _words(tokens[index + 1]), [*tokens[:index], *tokens[index + 3 :]]
    return name, list(tokens)


def _words(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))


def _anchor_headings(tokens: Sequence[Token], anchors: set[str]) -> Iterator[Entry]:
    for index, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        words = _words(tokens[index + 1])
        anchor = _fresh(slug(words), anchors)
        token.attrSet("id", anchor)
        if token.tag in _TOC_LEVELS:
            yield Entry(int(token.tag[1]), anchor, words)


def _anchor_rows(tokens: Sequence[Token], anchors: set[str]) -> None:
    """A row that begins with one name in code, or one number, is what a link to that name leads to, unless a heading is
    it already. Where two tables list a name, the first is meant."""
    for index, token in enumerate(tokens):
        if token.type != "tr_open" or tokens[index + 1].type != "td_open":
            continue
        name = _row_name(tokens[index + 2])
        if name and name not in anchors:
            anchors.add(name)
            token.attrSet("id", name)


def _row_name(inline: Token) -> str:
    children = inline.children or []
    if len(children) != 1 or not re.fullmatch(r"[\w\-]+", children[0].content):
        return ""
    return children[0].content if children[0].type == "code_inline" or children[0].content.isdigit() else ""


def _fresh(anchor: str, anchors: set[str]) -> str:
    """`anchor`, numbered where the page has it already."""
    number, chosen = 0, anchor
    while chosen in anchors:
        number += 1
        chosen = f"{anchor}-{number}"
    anchors.add(chosen)
    return chosen


def _redirect_links(tokens: Sequence[Token]) -> Iterator[str]:
    for token in _flat(tokens):
        if token.type == "link_open":
            target = address(str(token.attrGet("href")))
            token.attrSet("href", target)
            yield target


def address(href: str) -> str:
    """Where a link of a page leads: `strategies.md#measured` is `/docs/strategies/#measured`. What leads neither to a
    page, nor to this server, nor to http(s), leads to the index."""
    parts = urlsplit(href)
    if parts.scheme in ("http", "https") or (not parts.netloc and not parts.scheme and parts.path.startswith("/")):
        return href
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    if not parts.path and not parts.scheme and not parts.netloc:
        return fragment or ADDRESS
    known = re.fullmatch(r"([\w\-]+)\.md", parts.path)
    if parts.scheme or parts.netloc or known is None:
        return ADDRESS
    return ADDRESS + fragment if known[1] == INDEX else f"{ADDRESS}{known[1]}/{fragment}"


def _tidy_tables(tokens: Sequence[Token]) -> None:
    """Alignment as a class (the content security policy allows no style), heads that say what they are heads of."""
    for token in tokens:
        if token.type in ("th_open", "td_open"):
            style = token.attrs.pop("style", "")
            if "right" in str(style):
                token.attrSet("class", "num")
        if token.type == "th_open":
            token.attrSet("scope", "col")


def _flat(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or [])


def _shown_html(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Mapping[str, Any]
) -> str:
    return escapeHtml(_COMMENTS.sub("", tokens[index].content)).strip()


def _table_open(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Mapping[str, Any]
) -> str:
    # Wide tables scroll in a box of their own, which the keyboard reaches.
    return '<div class="table-scroll" tabindex="0" role="group" aria-label="Table"><table class="table">\n'


def _table_close(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Mapping[str, Any]
) -> str:
    return "</table></div>\n"


def _code(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Mapping[str, Any]) -> str:
    return f'<pre tabindex="0"><code>{escapeHtml(tokens[index].content)}</code></pre>\n'


def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable("table").disable("image")
    for rule in ("html_block", "html_inline"):
        parser.add_render_rule(rule, _shown_html)
    for rule in ("code_block", "fence"):
        parser.add_render_rule(rule, _code)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    return parser


_MARKDOWN = _markdown()
