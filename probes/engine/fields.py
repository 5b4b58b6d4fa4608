"""Reads the fields of a script that a person wrote, and says of a mistake where it is and how to cure it."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

MAX_ITEMS = 100

_MAX_YAML_CHARS = 65_536


class ScriptError(ValueError):
    """A script, URL or specification that cannot be used: names the field, the fault and the cure."""

    def __init__(self, field_name: str, fault: str, cure: str, line: int | None = None) -> None:
        place = f"line {line}: " if line else ""
        super().__init__(f"{place}{field_name}: {fault}. {cure}")
        self.field = field_name
        self.fault = fault
        self.cure = cure
        self.line = line


class Reader:
    """Reads fields of a mapping, and says what is wrong with them and where."""

    def __init__(self, mapping: Mapping[str, Any], lines: Mapping[str, int]) -> None:
        self.mapping = mapping
        self.lines = lines

    def fail(self, name: str, fault: str, cure: str) -> ScriptError:
        return ScriptError(name, fault, cure, self.lines.get(name))

    def text(self, name: str, default: str) -> str:
        value = self.mapping.get(name, default)
        if not isinstance(value, str):
            raise self.fail(name, f"must be text, not {type(value).__name__}", "Put it in quotes")
        return value

    def truth(self, name: str, default: bool) -> bool:
        value = self.mapping.get(name, default)
        if not isinstance(value, bool):
            raise self.fail(name, f"must be true or false, not {value!r}", "Write true or false")
        return value

    def texts(self, name: str) -> dict[str, str]:
        """A mapping of names to texts, "" allowed."""
        value = self.mapping.get(name, {})
        if not isinstance(value, Mapping):
            raise self.fail(name, "must be a mapping of names to texts", "Write `name: value` lines")
        for key, text in value.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise self.fail(name, f"the value of {key} is no one-line ASCII text", "Put it in quotes")
        return dict(value)

    def words(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.mapping.get(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) and word for word in value):
            raise self.fail(name, "must be a list of texts, none empty", "Write for example [one, two], or []")
        if len(set(value)) < len(value):
            raise self.fail(name, "names the same thing twice", "Keep one of them")
        if len(value) > MAX_ITEMS:
            raise self.fail(name, f"lists more than {MAX_ITEMS}", "Shorten the list")
        return tuple(value)


def read_yaml(text: str) -> tuple[Mapping[str, Any], dict[str, int]]:
    """The data, and the line of each field. Raises ScriptError."""
    if len(text) > _MAX_YAML_CHARS:
        raise ScriptError("script", f"is longer than {_MAX_YAML_CHARS} characters", "Shorten it")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ScriptError("script", f"is no YAML ({error.problem})", "Check indentation and quotes", line) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ScriptError("script", f"is no YAML ({error})", "Check indentation and quotes") from error
    return data, dict(_lines(node))


def _lines(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """The line of each field, and of each item of a list: `steps[2]` is the third step."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        yield str(key.value), key.start_mark.line + 1
        if isinstance(value, yaml.SequenceNode):
            yield from ((f"{key.value}[{at}]", item.start_mark.line + 1) for at, item in enumerate(value.value))
