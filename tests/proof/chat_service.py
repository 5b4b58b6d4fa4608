"""The reference chat for the proofs, with users who have tokens. PROOF_SETUP chooses how long a setup takes.

`app` waits for the dependency at the port PROOF_DEPENDENCY where one is named.
"""

import logging
import os
import sys

from connections.gate import ReadinessGate, tcp_check
from connections.gate.hooks import drain_on_sigterm
from connections.reference.app import create_app

USERS = 1000
SETUP = os.environ.get("PROOF_SETUP", "production")
DEPENDENCY = int(os.environ.get("PROOF_DEPENDENCY", "0"))
GRACE_S = 1.0


def token_of(user: int) -> str:
    return f"token-of-{user}"


def service() -> ReadinessGate:
    tokens = {f"user {number}": token_of(number) for number in range(USERS)}
    gate = create_app(SETUP, instance="proof", tokens=tokens)
    if not DEPENDENCY:
        return gate
    from connections.reference.services import SERVICES

    checks = [tcp_check("127.0.0.1", DEPENDENCY, required=False)]
    return ReadinessGate(gate.app, required=SERVICES, authenticates=True, checks=checks)


logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
app = drain_on_sigterm(service(), grace_s=GRACE_S)
