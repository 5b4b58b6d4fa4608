"""The documentation names everything that exists."""

import inspect
import re
from dataclasses import fields
from typing import get_args

import pytest

from connections.flags.reports import Report
from connections.flags.targeting import OPERATORS
from connections.gate import FlagSource, OfrepSource
from connections.reference.faults import FAULTS, PERCENT, Fault, Parameter
from dashboard.env import BASE_DIR, SETTINGS, Setting, SettingError, read
from probes.engine.outcome import FailureKind
from probes.engine.presets import PRESETS
from probes.engine.script import CRITICAL_EVENTS, Script
from probes.engine.steps import StepKind
from probes.engine.wires import WIRES

SETTINGS_PAGE = (BASE_DIR / "docs" / "settings.md").read_text()
FAILURES_PAGE = (BASE_DIR / "docs" / "failures.md").read_text()
FLAGS_PAGE = (BASE_DIR / "docs" / "flags.md").read_text()
TARGETING_PAGE = (BASE_DIR / "docs" / "targeting.md").read_text()
PRACTICE_PAGE = (BASE_DIR / "docs" / "practice.md").read_text()
SCRIPTS_PAGE = (BASE_DIR / "docs" / "scripts.md").read_text()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_documented_with_its_default(setting: Setting) -> None:
    default = f"`{setting.default}`" if setting.default else "empty"
    assert f"| `{setting.name}` | {default} | {setting.meaning} |" in SETTINGS_PAGE


@pytest.mark.parametrize("source", [FlagSource, OfrepSource])
def test_every_parameter_of_a_flag_source_is_documented_with_its_default(source: type) -> None:
    named = [each for each in inspect.signature(source).parameters.values() if each.kind is each.KEYWORD_ONLY]
    table = FLAGS_PAGE.split(f"| `{source.__name__}` |")[1].split("\n\n")[0]
    for parameter in named:
        [row] = [line for line in table.splitlines() if f"`{parameter.name}`" in line.split("|")[1]]
        names = re.findall(r"`(\w+)`", row.split("|")[1])
        default = row.split("|")[2].split(",")[names.index(parameter.name)].strip()
        assert default == ("none" if parameter.default is None else str(parameter.default))


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_of_rules_is_documented(operator: str) -> None:
    assert f"`{operator}`" in TARGETING_PAGE


def test_every_field_of_a_report_is_documented() -> None:
    documented = re.findall(r"^\| `([a-z_]+)` \|", FLAGS_PAGE.split("## Somebody else")[0], re.MULTILINE)
    assert [name for name in documented if not name.endswith("_s")] == [each.name for each in fields(Report)]


def test_no_documented_setting_is_gone() -> None:
    documented = re.findall(r"^\| `([A-Z_]+)` \|", SETTINGS_PAGE, re.MULTILINE)
    assert documented == [setting.name for setting in SETTINGS]


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_kind_is_documented(kind: FailureKind) -> None:
    assert f"| `{kind}` |" in FAILURES_PAGE


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_every_fault_is_documented_as_the_code_has_it(fault: Fault) -> None:
    parameters = "; ".join(range_of(each) for each in fault.parameters if each is not PERCENT)
    others = (f"`{kind}`" if kind else "the same" for kind in (fault.kind_if_early, fault.kind_if_deferred))
    row = f"| `{fault.name}` | {fault.effect} | {parameters} | `{fault.kind}` | {' | '.join(others)} |"
    row = row.replace("|  |", "| |")
    assert row in PRACTICE_PAGE


def test_no_documented_fault_is_gone() -> None:
    assert re.findall(r"^\| `([a-z_0-9]+)` \|", PRACTICE_PAGE, re.MULTILINE) == list(FAULTS)


def range_of(parameter: Parameter) -> str:
    """A parameter as the page writes it."""
    if not parameter.choices:
        low, high = parameter.bounds
        return f"`{parameter.name}`: {low:g} to {high:g} {parameter.unit} ({parameter.default:g})"
    offered = "any of the five" if parameter.choices == CRITICAL_EVENTS else ", ".join(parameter.choices)
    return f"`{parameter.name}`: {offered} ({parameter.default})"


@pytest.mark.parametrize(("name", "text"), [("PORT", "eighty"), ("REFERENCE_PORTS", "8101"), ("RAW_DAYS", "0")])
def test_a_setting_that_cannot_be_used_is_named_in_the_error(name: str, text: str) -> None:
    with pytest.raises(SettingError, match=name):
        read({name: text, "SECRET_KEY": "x", "DATA_DIR": "/nonexistent"})


def test_the_readme_is_short_and_shows_the_two_commands() -> None:
    readme = (BASE_DIR / "README.md").read_text()
    assert len(readme.splitlines()) < 120
    assert "make serve" in readme
    assert "make test" in readme


def test_every_field_of_a_script_is_documented() -> None:
    documented = re.findall(r"^\| `([a-z_]+)` \|", SCRIPTS_PAGE.partition("## Steps")[0], re.MULTILINE)
    assert set(documented) == {each.name for each in fields(Script)} | {"preset"}


def test_every_step_preset_and_wire_is_documented() -> None:
    for name in (*get_args(StepKind), *PRESETS):
        assert re.search(rf"^\| `{re.escape(name)}[`:]", SCRIPTS_PAGE, re.MULTILINE), name
    assert all(f"`{name}`" in SCRIPTS_PAGE for name in WIRES)
