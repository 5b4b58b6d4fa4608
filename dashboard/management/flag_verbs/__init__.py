"""What `manage.py flags` can do. One more: a module here with a `Verb`, named in `commands/flags.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dashboard.management.usage import author


@dataclass(frozen=True)
class Verb:
    """One verb: its name, its line of help, its arguments, and what it does with them."""

    name: str
    help: str
    arguments: Callable[[CommandParser], None]
    run: Callable[[BaseCommand, dict[str, Any]], None]


def environment_argument(parser: CommandParser) -> None:
    """Every verb needs it."""
    parser.add_argument("--environment", required=True, help="development | staging | production")


def change_arguments(parser: CommandParser) -> None:
    """What every verb takes that changes something."""
    parser.add_argument("--reason", default="", help="why, in at least 3 words")
    parser.add_argument("--author", default=author(), help="who the audit trail names (default: this account)")
