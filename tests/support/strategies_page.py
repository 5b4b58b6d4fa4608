"""The tables of docs/strategies.md, written from the strategies: `python -m tests.support.strategies_page`."""

from collections.abc import Iterable
from typing import Any

from connections.gate.strategies import STRATEGIES, Strategy
from connections.gate.strategies.parameters import described
from dashboard.env import BASE_DIR

PAGE = BASE_DIR / "docs" / "strategies.md"
ORDER = (
    "dependency_gate",
    "ready_ack",
    "deferred_accept",
    "client_init",
    "adaptive_delay",
    "progressive_delay",
    "fixed_delay",
    "state_poll",
    "immediate",
)


def tables() -> dict[str, str]:
    """Each generated part of the page by its name."""
    ordered = [STRATEGIES[name] for name in ORDER if name in STRATEGIES]
    return {
        "strategies": _table(
            ("strategy", "opens when", "says ready falsely", "holds needlessly"),
            [(f"`{cls.name}`", cls.opens_when, cls.false_ready, cls.false_not_ready) for cls in ordered],
        ),
        "parameters": _table(
            ("strategy", "parameter", "takes", "default", "meaning"), [row for cls in ordered for row in _rows(cls)]
        ),
    }


def written(page: str) -> str:
    """The page with its generated parts as they should be."""
    for name, table in tables().items():
        begin, end = f"<!-- {name}: generated -->\n", f"<!-- {name}: end -->"
        before, _, rest = page.partition(begin)
        after = rest.partition(end)[2]
        page = f"{before}{begin}{table}{end}{after}"
    return page


def _rows(cls: type[Strategy]) -> Iterable[tuple[str, ...]]:
    for each in described(cls):
        yield f"`{cls.name}`", f"`{each.name}`", each.takes, _default(each.default), each.meaning


def _default(value: Any) -> str:
    if value is None:
        return "as the gate was told"
    if isinstance(value, tuple):
        return str([f"{each:g}" for each in value]).replace("'", "")
    return f"{value:g}" if isinstance(value, float) else f'"{value}"'


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
