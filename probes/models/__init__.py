"""Targets, the results of their slots, and what is derived from them: rollups, status and flips."""

from probes.models.race_checks import RaceCheck
from probes.models.results import ResidentLife, Result, Transcript
from probes.models.rollups import LocationRollup, Rollup, ServedRollup
from probes.models.statuses import Flip, ServedCertificate, TargetStatus, Watermark
from probes.models.targets import DEADLINE_MS, EVERY_S, HOLD_S, INTERVAL_MS, RESIDENTS, SUCCESS, Location, Target

__all__ = [
    "DEADLINE_MS",
    "EVERY_S",
    "HOLD_S",
    "INTERVAL_MS",
    "RESIDENTS",
    "SUCCESS",
    "Flip",
    "Location",
    "LocationRollup",
    "RaceCheck",
    "ResidentLife",
    "Result",
    "Rollup",
    "ServedCertificate",
    "ServedRollup",
    "Target",
    "TargetStatus",
    "Transcript",
    "Watermark",
]
