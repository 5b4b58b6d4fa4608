"""The app of schedules, results and health."""

from django.apps import AppConfig


class ProbesConfig(AppConfig):
    name = "probes"
