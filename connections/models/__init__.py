"""What this layer stores: flags and their history, what lies over them, the watched servers, the audit trail."""

from connections.models.audit import AuditHead, AuditRecord
from connections.models.flags import (
    Definition,
    Environment,
    Revision,
    Version,
    VersionChange,
    flag_key_validator,
)
from connections.models.layers import Overlay, Ramp
from connections.models.plans import Drill, TeamPlan
from connections.models.servers import ConnectionCount, ServerKey, ServerRun, WatchedServer

__all__ = [
    "AuditHead",
    "AuditRecord",
    "ConnectionCount",
    "Definition",
    "Drill",
    "Environment",
    "Overlay",
    "Ramp",
    "Revision",
    "ServerKey",
    "ServerRun",
    "TeamPlan",
    "Version",
    "VersionChange",
    "WatchedServer",
    "flag_key_validator",
]
