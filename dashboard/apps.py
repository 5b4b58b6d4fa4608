"""The app of pages, live updates and interfaces."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"

    def ready(self) -> None:
        # Imported for their receivers and checks, which need the models.
        from dashboard import checks, wakeups  # noqa: F401
