"""What would change, in a shell."""

from collections.abc import Iterable

from django.core.management.base import OutputWrapper

from connections.flags.versions import FlagDiff


def show_diffs(out: OutputWrapper, diffs: Iterable[FlagDiff]) -> None:
    """A line for each flag, and one for each other field of it."""
    for diff in diffs:
        out.write(f"  {diff.flag}: {diff.before or 'absent'} -> {diff.after or 'absent'}")
        for change in diff.fields:
            if change.field != "defaultVariant":
                out.write(f"    {change.field}: {change.before!r} -> {change.after!r}")
