"""What to check next: the part of a verdict that a person acts on. docs/failures.md says the same, and a test says so.

A status or close code that tells more than the kind does has advice of its own.
"""

from probes.engine.outcome import FailureKind, Outcome

NEXT_CHECK: dict[FailureKind, str] = {
    FailureKind.POLICY_DENIED: "Check the address in the URL, or let probes dial it (PROBE_ALLOW).",
    FailureKind.PROBE_ERROR: "Look into the prober's log and its machine's load: this is not the target's fault.",
    FailureKind.MISSED: "Check that the probe workers of this location run, and that they keep up.",
    FailureKind.DNS_FAILED: "Ask the name from another machine; check its DNS records and this machine's resolver.",
    FailureKind.CONNECT_REFUSED: "Check that the server runs and listens on this address and port.",
    FailureKind.CONNECT_TIMEOUT: "Check firewalls and routes to this address, and whether the host is up.",
    FailureKind.PROXY_FAILED: "Check the proxy's address and credentials, and whether it allows CONNECT to the target.",
    FailureKind.CONNECTION_RESET: "Look into the load balancer's and the server's logs: which one hung up?",
    FailureKind.TLS_TIMEOUT: "Check that the port speaks TLS, and the load of what terminates it.",
    FailureKind.TLS_FAILED: "Look at the certificate chain and TLS versions: `openssl s_client -connect HOST:PORT`.",
    FailureKind.CERTIFICATE_EXPIRED: "Renew the certificate and reload what serves it; check this machine's clock.",
    FailureKind.CERTIFICATE_NAME_MISMATCH: "Check which certificate is served for this name, and the name in the URL.",
    FailureKind.UNAUTHORIZED: "Check the target's token and path: ASGI servers answer 403 to whatever they refuse.",
    FailureKind.UPGRADE_REJECTED: "Check the path, and that every proxy on the way forwards Upgrade and Connection.",
    FailureKind.UPGRADE_TIMEOUT: "Check whether the server is busy before accept(), and whether the port is right.",
    FailureKind.HANDSHAKE_INVALID: "Check what really listens there; a proxy may answer in the server's place.",
    FailureKind.SUBPROTOCOL_MISMATCH: "Compare the subprotocols of the target's script with those the server knows.",
    FailureKind.ACCEPT_RACE: "A handler starts before setup is done: serve the readiness strategy dependency_gate.",
    FailureKind.FALSE_READY: "The strategy opens before setup is done: serve dependency_gate, or raise its delay.",
    FailureKind.NOT_READY: "Check what the connection's setup waits for: its dependencies, and the required set.",
    FailureKind.CLOSED_BEFORE_READY: "Look for the code in the server's log: 1011 is an exception, 1012 a restart.",
    FailureKind.EVENT_LOST: "The server numbered an event that never came: look at its send errors and full buffers.",
    FailureKind.EVENT_NEVER_EMITTED: "Look into the run's log on the server: the event was not produced.",
    FailureKind.EVENT_DUPLICATED: "Look for a retry or a second consumer that sends without checking what was sent.",
    FailureKind.EVENT_REORDERED: "Look for events that are sent by several tasks, or by priority inside a run.",
    FailureKind.EVENT_LATE: "Look for what slows the run: the model, its tools, or a full send buffer.",
    FailureKind.CLOSED_EARLY: "Look for the close code in the server's log; without one, check proxies' idle timeouts.",
    FailureKind.PROTOCOL_ERROR: "Look at the last frames of the transcript; a proxy may have written into the stream.",
    FailureKind.OVERSIZED: (
        "Check what the server sends so much of, or raise PROBE_MAX_MESSAGE_BYTES, PROBE_MAX_TOTAL_BYTES or "
        "PROBE_MAX_FRAMES."
    ),
}

BY_STATUS: dict[int, str] = {
    200: "Something that is no WebSocket endpoint answers here: check the path and the balancer's routes.",
    301: "Put the address that it points to into the target's URL: probes follow no redirects.",
    302: "Put the address that it points to into the target's URL; a login page means that the token is missing.",
    307: "Put the address that it points to into the target's URL: probes follow no redirects.",
    308: "Put the address that it points to into the target's URL: probes follow no redirects.",
    401: "Check the target's token, and whether it has expired.",
    404: "Check the path in the target's URL, and the routes of the last deployment.",
    426: "A proxy on the way drops Upgrade and Connection: switch WebSocket support on there.",
    429: "A rate limit counts these probes: exempt them, or raise the target's interval.",
    500: "Look for the exception in the server's log: it was raised before accept().",
    502: "The balancer got no valid answer from the server: check whether it runs, and its crashes.",
    503: "The balancer has no healthy server, or the server refuses work: check its health checks and load.",
    504: "The server did not answer the balancer in time: check whether it is busy before accept().",
}
"""By HTTP status, for `upgrade_rejected` and `unauthorized`."""

BY_CLOSE_CODE: dict[int, str] = {
    1001: "The server is going away: check for a deployment or a scale-down at this time.",
    1006: "The connection was cut without a close frame: check for crashes, and the time-outs of proxies.",
    1008: "The server's policy refuses this client: check the target's token and origin.",
    1011: "Look for the exception in the server's log at this time.",
    1012: "The server restarts: check for a deployment, and whether it drains its connections.",
    1013: "The server is overloaded or not ready: check its load and its dependencies.",
    4401: "Check the target's token, and whether it has expired.",
    4403: "Check what the target's token may do.",
    4408: "The server waited in vain for a first message: check the script's trigger, and slow setup.",
    4429: "A rate limit counts these probes: exempt them, or raise the target's interval.",
}
"""By close code, for `closed_before_ready`, `closed_early`, and `unauthorized` by close."""

_CLOSES = frozenset({FailureKind.CLOSED_BEFORE_READY, FailureKind.CLOSED_EARLY, FailureKind.UNAUTHORIZED})
_STATUSES = frozenset({FailureKind.UPGRADE_REJECTED, FailureKind.UNAUTHORIZED})


def next_check(outcome: Outcome) -> str:
    """What to check next after this outcome; empty where it is no failure."""
    if outcome.kind is None:
        return ""
    if outcome.kind in _STATUSES and outcome.http_status in BY_STATUS:
        return BY_STATUS[outcome.http_status]
    if outcome.kind in _CLOSES and outcome.close_code in BY_CLOSE_CODE:
        return BY_CLOSE_CODE[outcome.close_code]
    return NEXT_CHECK[outcome.kind]
