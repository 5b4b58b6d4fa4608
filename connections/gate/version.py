"""The version of this library, as watched servers report it: the same as in pyproject.toml (a test compares them)."""

VERSION = "0.1.0"
