"""What a proof that judges itself prints: its table, and one last line that says whether its claims hold."""

import sys
from collections.abc import Iterable, Sequence


def tell(rows: Iterable[Sequence[object]], wrong: Sequence[str], holds: str) -> int:
    """Print `rows` (the first is the head) as Markdown, then `holds` or what is wrong; the exit status."""
    head, *rest = ([str(cell) for cell in row] for row in rows)
    for row in (head, ["---"] * len(head), *rest):
        sys.stdout.write(f"| {' | '.join(row)} |\n")
    sys.stdout.write(f"{'; '.join(wrong) or holds}\n")
    sys.stdout.flush()
    return 1 if wrong else 0
