"""The documentation as the product serves it: every link arrives, nothing in a page can run or break the policy."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import handbook
from dashboard.handbook import INDEX, Page, address, render, slug

NAMES = handbook.names()
TAGS = {"p", "a", "em", "strong", "code", "pre", "ul", "ol", "li", "hr", "br", "blockquote", "div"} | {
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td")
}


def served(name: str) -> Page:
    found = handbook.page(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", [INDEX, *NAMES])
def test_every_link_of_the_documentation_arrives(name: str) -> None:
    for link in served(name).links:
        assert link not in ("/docs/", "#"), f"{name} links to what is no page"
        if link.startswith(("http", "/api/")):
            continue
        there = re.fullmatch(r"(?:/docs/([\w-]+)/)?(?:#([\w-]+))?", link)
        assert there, f"{name} links to {link}"
        anchor = there[2]
        assert anchor is None or anchor in served(there[1] or name).anchors, f"{name} links to {link}"


def test_the_first_page_leads_to_every_page() -> None:
    assert {link.split("/")[2] for link in served(INDEX).links} == set(NAMES)


@pytest.mark.parametrize("name", [INDEX, *NAMES])
def test_no_page_carries_a_style_a_script_or_its_notes_to_authors(name: str) -> None:
    html = served(name).html
    assert not re.search(r"<(script|style|iframe|img)|<[^>]* (style|on\w+)=|<!--|&lt;!--", html)


def test_a_heading_is_found_by_the_anchor_that_github_gives_it() -> None:
    assert slug("The server, before ready") == "the-server-before-ready"
    assert slug("Flags' types, schemas and rules") == "flags-types-schemas-and-rules"
    assert [entry.anchor for entry in render("x", "# T\n## a_b\n## a_b\n### `c`").contents] == ["a_b", "a_b-1", "c"]


def test_rows_are_anchors_unless_a_heading_is_it_already() -> None:
    page = render("x", "| kind |\n|---|\n| `one` |\n| `two` |\n| 1011 |\n| two words |\n\n## two")
    assert page.anchors == {"one", "two", "1011"}
    assert page.html.count('id="two"') == 1
    assert '<h2 id="two">' in page.html


def test_alignment_is_a_class_and_wide_tables_scroll_in_a_box_that_the_keyboard_reaches() -> None:
    html = render("x", "| a | b |\n|---|---:|\n| 1 | 2 |").html
    assert '<td class="num">2</td>' in html
    assert '<div class="table-scroll" tabindex="0"' in html


@pytest.mark.parametrize(
    ("written", "leads_to"),
    [
        ("strategies.md", "/docs/strategies/"),
        ("strategies.md#measured", "/docs/strategies/#measured"),
        ("README.md", "/docs/"),
        ("#below", "#below"),
        ("/api/v1/openapi.json", "/api/v1/openapi.json"),
        ("https://example.org/x", "https://example.org/x"),
        ("../README.md", "/docs/"),
        ("//elsewhere.example/x", "/docs/"),
        ("ftp://elsewhere.example/x", "/docs/"),
        ("javascript:alert(1)", "/docs/"),
    ],
)
def test_a_link_leads_to_a_page_to_this_server_or_to_the_web(written: str, leads_to: str) -> None:
    assert address(written) == leads_to


def test_html_in_a_page_is_shown_as_text() -> None:
    html = render("x", "a <b onclick='x()'>word</b>\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))").html
    assert "<b" not in html
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert "&lt;script&gt;" in html


@given(st.text(alphabet="<>&\"'`[]()!#|-*:/ \n\tabon=javscript", max_size=80))
@settings(max_examples=150)
def test_whatever_is_written_nothing_gets_through(text: str) -> None:
    html = render("x", text).html
    for tag in re.findall(r"<(/?\w+)([^>]*)>", html):
        assert tag[0].lstrip("/") in TAGS
        assert not re.search(r"\s(on\w+|style)\s*=", tag[1])


def test_a_name_is_never_a_path() -> None:
    assert handbook.page("../README") is None
    assert handbook.page("/etc/passwd") is None
    assert handbook.page("nothing") is None
