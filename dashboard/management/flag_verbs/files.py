"""`manage.py flags export|import|diff`: an environment's flags as a file."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from connections.flags import reading
from connections.flags.changing import check_reason
from connections.flags.control import Preview
from connections.flags.errors import BadDefinition, NothingToChange
from connections.flags.files import FORMATS, BadFile, blamed, checked
from connections.flags.importing import import_flags, preview_import
from connections.flags.versions import Definition
from connections.models import Revision
from dashboard.management.flag_verbs import Verb, change_arguments, environment_argument
from dashboard.management.shown import show_diffs
from dashboard.management.usage import UsageError


def _file_arguments(parser: CommandParser) -> None:
    parser.add_argument("file", nargs="?", default="-", help="the file; - or none: standard input or output")
    environment_argument(parser)
    parser.add_argument(
        "--format", choices=sorted(FORMATS), help="default: flagd for names that end in .json, else yaml"
    )


def _export_arguments(parser: CommandParser) -> None:
    _file_arguments(parser)
    parser.add_argument("--at-version", type=int, metavar="N", help="an older version (default: the one served)")


def _compare_arguments(parser: CommandParser) -> None:
    _file_arguments(parser)
    parser.add_argument(
        "--keep-others", action="store_true", help="leave flags alone that the file does not name (else they go)"
    )


def _import_arguments(parser: CommandParser) -> None:
    _compare_arguments(parser)
    change_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--expected-version", type=int, metavar="N", help="refuse if another version is served by then")


def _export(command: BaseCommand, options: dict[str, Any]) -> None:
    flags = reading.flag_set(options["environment"], options["at_version"])
    written = FORMATS[_format(options)][1](flags.definitions)
    if options["file"] == "-":
        command.stdout.write(written, ending="")
        return
    try:
        Path(options["file"]).write_bytes(written.encode())
    except OSError as error:
        raise UsageError(f"{options['file']} cannot be written: {error.strerror}.") from error


def _diff(command: BaseCommand, options: dict[str, Any]) -> None:
    """Exit status 1 where the file differs, as diff(1) has it."""
    _, preview = _previewed(options)
    if _shown(command, preview, options):
        raise SystemExit(1)


def _import(command: BaseCommand, options: dict[str, Any]) -> None:
    environment, keep_others = options["environment"], options["keep_others"]
    definitions, preview = _previewed(options)
    if not preview.diffs:
        _shown(command, preview, options)
        return
    if not options["dry_run"]:
        check_reason(reading.environment(environment), options["reason"])
    _shown(command, preview, options)
    if options["dry_run"]:
        command.stdout.write("Dry run: nothing was changed.")
        return
    expected = options["expected_version"]
    try:
        version = import_flags(
            environment,
            definitions,
            author=options["author"],
            reason=options["reason"],
            # What was shown is what is done: somebody who came between is not overrun.
            expected_version=preview.version if expected is None else expected,
            keep_others=keep_others,
        )
    except NothingToChange:
        command.stdout.write(f"{environment}: nothing would change: already so.")
        return
    revision = Revision.objects.filter(version=version).latest("number")
    command.stdout.write(f"{environment} serves version {version.number}, revision {revision.number}.")


def _shown(command: BaseCommand, preview: Preview, options: dict[str, Any]) -> bool:
    """Print what differs; False where nothing does."""
    name = "standard input" if options["file"] == "-" else options["file"]
    if not preview.diffs:
        command.stdout.write(f"{preview.environment}, {name}: nothing would change: already so.")
        return False
    command.stdout.write(f"{preview.environment}, {name}, after version {preview.version}:")
    show_diffs(command.stdout, preview.diffs)
    return True


def _format(options: dict[str, Any]) -> str:
    named: str | None = options["format"]
    return named or ("flagd" if options["file"].endswith(".json") else "yaml")


def _previewed(options: dict[str, Any]) -> tuple[dict[str, Definition], Preview]:
    """The definitions of the file, and what they would change. Raises UsageError naming file, line and field."""
    name = "standard input" if options["file"] == "-" else options["file"]
    try:
        parsed = FORMATS[_format(options)][0](_text(options["file"]))
        definitions = checked(parsed)
        try:
            preview = preview_import(options["environment"], definitions, keep_others=options["keep_others"])
        except BadDefinition as error:  # fine by itself, and no successor of what is served
            raise blamed(parsed, error) from error
    except BadFile as error:
        raise UsageError(f"{name}, {error}") from error
    return definitions, preview


def _text(name: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{name}, line {line}: no UTF-8. Nothing was changed.") from error


VERBS = (
    Verb("export", "an environment's flags to a file; the same flags give the same bytes", _export_arguments, _export),
    Verb("import", "serve exactly what a file says, as one version", _import_arguments, _import),
    Verb("diff", "what an import would change; exit status 1 where something would", _compare_arguments, _diff),
)
