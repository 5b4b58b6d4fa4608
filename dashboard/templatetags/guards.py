"""The guard's panel, for any page that has a flag and its environment."""

from django import template

from dashboard.queries.guards import Panel, panel

register = template.Library()


@register.simple_tag
def guard_panel(environment_key: str, flag: str) -> Panel:
    """What `flags/guard.html` shows."""
    return panel(environment_key, flag)
