"""Reading pages as a browser or a person would."""

import re
from typing import Protocol


class Page(Protocol):
    """Any of Django's test responses."""

    @property
    def content(self) -> bytes: ...


def text(page: Page) -> str:
    """The page's words, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.content.decode()))


def hidden_fields(page: Page, form_id: str) -> dict[str, str]:
    """The hidden fields of one form of the page, as a browser would send them back; without the CSRF token."""
    whole = page.content.decode()
    form = whole[whole.index(f'id="{form_id}"') :]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[: form.index("</form>")])
    return {name: value for name, value in found if name != "csrfmiddlewaretoken"}
