"""Flag sets as files: Readywire's YAML and flagd's JSON, out and in. Pure."""

from connections.flags.files.flagd import read_flagd, write_flagd
from connections.flags.files.places import BadFile, Parsed, Place, blamed, checked
from connections.flags.files.yaml_in import read_yaml
from connections.flags.files.yaml_out import write_yaml

__all__ = [
    "FORMATS",
    "BadFile",
    "Parsed",
    "Place",
    "blamed",
    "checked",
    "read_flagd",
    "read_yaml",
    "write_flagd",
    "write_yaml",
]

FORMATS = {"yaml": (read_yaml, write_yaml), "flagd": (read_flagd, write_flagd)}
"""Each format's reader and writer by its name."""
