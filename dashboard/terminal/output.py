"""The console that reports go to: coloured and fitted in a terminal, plain text of a fixed width elsewhere."""

import os
from typing import IO, cast

from rich.console import Console, RenderableType

PLAIN_WIDTH = 100
"""Columns of piped output, where COLUMNS does not say otherwise."""
WIDEST = 120
"""Bars do not get longer on wider terminals."""


def show(stream: object, report: RenderableType) -> None:
    """Print a report to `stream`: a terminal's own way, or as plain lines without trailing blanks."""
    out = console(stream)
    if out.is_terminal:
        out.print(report)
        return
    with out.capture() as captured:
        out.print(report)
    plain = "\n".join(line.rstrip() for line in captured.get().split("\n"))
    out.file.write(plain)


def console(stream: object) -> Console:
    """A console that writes to `stream`. NO_COLOR is honoured; text of others is never read as markup."""
    file = cast("IO[str]", stream)
    made = Console(file=file, markup=False, highlight=False, emoji=False, soft_wrap=False)
    if not made.is_terminal:
        given = os.environ.get("COLUMNS", "")
        made.width = int(given) if given.isdecimal() and int(given) >= 40 else PLAIN_WIDTH
    made.width = min(made.width, WIDEST)
    return made
