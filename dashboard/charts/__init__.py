"""The charts of a target, pure: numbers -> Plotly figures as plain dicts, each with a sentence and a table."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from dashboard.charts.events import five_events
from dashboard.charts.failures import failures
from dashboard.charts.figures import EMPTY, Chart, empty
from dashboard.charts.heat import where_time_lies
from dashboard.charts.race import race_window
from dashboard.charts.series import Window
from dashboard.charts.strategies import strategies
from dashboard.charts.timings import phases, start_delay

__all__ = ["Chart", "charts"]
BUILDERS = (race_window, where_time_lies, five_events, failures, phases, strategies, start_delay)


def charts(window: Window, zone: ZoneInfo) -> list[Chart]:
    """Every chart of the target page, in its order. `zone` is the one whose clock the page shows."""
    built = [build(window, zone) for build in BUILDERS]
    return [replace(chart, lede=empty(window, zone)) if chart.lede == EMPTY else chart for chart in built]
