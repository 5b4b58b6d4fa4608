"""What this layer stores: flags, their history, what lies over them, who decides, deploys, watched servers, the audit
trail."""

from connections.models.audit import AuditHead, AuditRecord
from connections.models.deploys import Deploy
from connections.models.flags import (
    Definition,
    Environment,
    GuardMode,
    Revision,
    Version,
    VersionChange,
    flag_key_validator,
)
from connections.models.guards import Guard, GuardTrip
from connections.models.layers import Overlay, Ramp
from connections.models.plans import Drill, TeamPlan
from connections.models.proposals import BreakGlass, Notification, Proposal
from connections.models.servers import ConnectionCount, ServerKey, ServerRun, WatchedServer
from connections.models.use import FlagUse

__all__ = [
    "AuditHead",
    "AuditRecord",
    "BreakGlass",
    "ConnectionCount",
    "Definition",
    "Deploy",
    "Drill",
    "Environment",
    "FlagUse",
    "Guard",
    "GuardMode",
    "GuardTrip",
    "Notification",
    "Overlay",
    "Proposal",
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
