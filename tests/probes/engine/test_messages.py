"""A server's message is read as the JSON standard says, and its rules as JMESPath says."""

import json
from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.engine.messages import read
from probes.engine.steps import matcher

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(["ready", "not ready", "", " ready"]))


@pytest.mark.parametrize("text", ['{"type": "a"}', ' \t\r\n{"type": "a"} \n', '{"type":"a"}\n\n'])
def test_an_object_is_read_with_the_space_around_it(text: str) -> None:
    assert read(text, exact=True).type == "a"


@pytest.mark.parametrize(
    "text",
    ['{"type": "a"} more', '{"type": "a"}{}', '{"type": "a"', "\xa0{}", "\x0b{}", "[1]", "null", "", "{", "a {}"],
)
def test_what_is_no_json_object_has_no_fields(text: str) -> None:
    message = read(text, exact=True)
    assert (message.fields, message.type, message.is_error) == (None, "", False)


@given(st.one_of(st.text(), st.dictionaries(st.text(), SCALARS).map(json.dumps)), st.sampled_from(["", " ", "\n x"]))
def test_it_reads_what_the_standard_library_reads(text: str, after: str) -> None:
    try:
        value = json.loads(text + after)
    except ValueError:
        value = None
    assert read(text + after, exact=True).fields == (value if isinstance(value, dict) else None)


@given(
    st.sampled_from(["type == 'ready'", "type=='ready'", " type  == '' ", "data.type == 'ready'", "type == `1`"]),
    st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from(["type", "data"]), SCALARS)),
)
def test_a_plain_rule_decides_as_jmespath_does(rule: str, value: Any) -> None:
    assert bool(matcher(rule).search(value)) == bool(jmespath.search(rule, value))
