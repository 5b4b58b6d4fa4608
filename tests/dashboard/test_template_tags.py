"""Filters of the console's templates."""

from django.utils.html import json_script as django_json_script
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.templatetags.console import json_script

_JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON)
@example({"words": "</script><!-- & é \u2028", "<": [1.5, None]})
def test_data_of_scripts_is_written_as_django_writes_it(value: object) -> None:
    assert json_script(value, "data<") == django_json_script(value, "data<")
