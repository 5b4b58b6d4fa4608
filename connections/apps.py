"""The app of flags and watched servers."""

from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    name = "connections"
