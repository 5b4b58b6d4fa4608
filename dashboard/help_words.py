"""The sentences of dashboard/help.py, as tables: what each failure kind, state, figure and cut means. Pure.

docs/failures.md, docs/console.md and docs/residents.md hold the same rows for readers; a test compares them.
"""

from collections.abc import Mapping

from probes.engine.cuts import Cut
from probes.engine.outcome import FailureKind

KINDS: Mapping[FailureKind, str] = {
    # What happened. What to check next stands in probes/engine/advice.py.
    FailureKind.POLICY_DENIED: "The address may not be dialled from here.",
    FailureKind.PROBE_ERROR: (
        "Our own fault: an error in our code, no free port or file descriptor, a stalled prober, an option that cannot "
        "be used."
    ),
    FailureKind.MISSED: "The slot passed without an outcome: nothing was measured.",
    FailureKind.DNS_FAILED: "The name has no address, or no name server answered in time.",
    FailureKind.CONNECT_REFUSED: "The port is closed.",
    FailureKind.CONNECT_TIMEOUT: "Nobody answered our connection attempt, or no route leads there.",
    FailureKind.PROXY_FAILED: "The proxy could not be reached, or did not connect us to the target.",
    FailureKind.CONNECTION_RESET: "The connection was cut before the 101.",
    FailureKind.TLS_TIMEOUT: "TLS did not finish within the deadline.",
    FailureKind.TLS_FAILED: "TLS failed: unknown authority, no common version, a broken handshake.",
    FailureKind.CERTIFICATE_EXPIRED: "The certificate's dates do not include now: expired, or not valid yet.",
    FailureKind.CERTIFICATE_NAME_MISMATCH: "The certificate is for another name.",
    FailureKind.UNAUTHORIZED: "401, 403, or a close with 4401, 4403 or 1008.",
    FailureKind.UPGRADE_REJECTED: "It answered another HTTP status than 101.",
    FailureKind.UPGRADE_TIMEOUT: "No complete answer to the upgrade came within the deadline.",
    FailureKind.HANDSHAKE_INVALID: "The answer was not HTTP, or had a wrong accept key.",
    FailureKind.SUBPROTOCOL_MISMATCH: "The server chose a subprotocol that we did not offer.",
    FailureKind.ACCEPT_RACE: '`Need to call "accept" first` was seen, or an early message was lost.',
    FailureKind.FALSE_READY: "It said that it was ready, then did not answer.",
    FailureKind.NOT_READY: "Accepted, then silence until the deadline.",
    FailureKind.CLOSED_BEFORE_READY: "It closed before it answered our first message; the code is kept.",
    FailureKind.EVENT_LOST: "A number is missing from the event sequence.",
    FailureKind.EVENT_NEVER_EMITTED: "An expected event is absent, and no number is missing.",
    FailureKind.EVENT_DUPLICATED: "An event came twice.",
    FailureKind.EVENT_REORDERED: "Events came out of order.",
    FailureKind.EVENT_LATE: "An event came after the time allowed.",
    FailureKind.CLOSED_EARLY: "It closed before the last event.",
    FailureKind.PROTOCOL_ERROR: "It broke RFC 6455.",
    FailureKind.OVERSIZED: "More than a probe reads: one message, bytes in all, or frames.",
}

STATES: Mapping[str, tuple[str, str]] = {
    # state: (what it means, what to check next)
    "up": ("Probes are answered, and ready in time.", "Nothing needs a person."),
    "degraded": (
        "Some probes fail, one of several locations is down, or ready is slower than the objective.",
        "Open it: the story says which of the three, and since when.",
    ),
    "down": (
        "At least 3 of the last 5 probes failed, at every location.",
        "Read the story: what fails, whose fault it is, and what changed just before.",
    ),
    "stale": (
        "Our probes are late: nothing new is known of the target.",
        "Look at the banner and at the probe workers, not at the target.",
    ),
    "paused": ("A person has paused its probes.", "Its page says who; resume it there."),
    "unknown": (
        "No probe has a result yet.",
        "Wait one interval; then check that a worker runs for its location.",
    ),
    "missed": (
        "A slot passed without an outcome, because of us. It is never charged to the target.",
        "Check that the probe workers of this location run, and that they keep up.",
    ),
}

FIGURES: Mapping[str, tuple[str, str, str]] = {
    # figure: (its name on the page, what it is, what to check next)
    "race": (
        "Race window",
        ("The time from the accepted connection (the 101) to the first answer that proves the application ready."),
        "If it jumped, compare the moment with the marks of changes above the chart.",
    ),
    "ready": (
        "Ready p95",
        ('95 of 100 probes were ready within this time; "never" if more than 5 of 100 never were. p50 is the middle.'),
        "Compare it with the objective, and p50 with p95: far apart means that only some connections suffer.",
    ),
    "claimed": (
        "Claimed",
        "When the server said that it was ready. Only an answer to our own message proves it.",
        "Claimed long before ready: the server promises too early.",
    ),
    "delivery": (
        "Delivery",
        "The share of expected events that arrived in time, over the last sixty slots.",
        "Open the target: the chart of events says which is lost, late or twice.",
    ),
    "slots": (
        "Last 60 slots",
        (
            "The newest scheduled probes, newest at the right: low is up, middle is slow, full is failed, hollow "
            "is missed by us."
        ),
        "Point at a bar: its time, kind, revision and location.",
    ),
    "last_change": (
        "Last change",
        "The newest change of a flag that governs this target, or of what runs there.",
        "If a fault began just after it, open the target and undo it.",
    ),
    "result": (
        "Result",
        "How long ago the newest result came.",
        "Much more than the interval: our probes are late.",
    ),
    "state": (
        "State",
        "What a target is, from its newest probes, and since when.",
        "Down first, then degraded; stale is ours.",
    ),
    "heat": (
        "Where the time lies",
        "Each column is a span of time, each row a latency; the darker, the more probes.",
        "Two bands mean two sorts of connections: compare their strategy, revision and address.",
    ),
    "events": (
        "Five events",
        "Of each expected event, what share arrived in time; lost, late, twice and out of order are marked.",
        "Take the event that suffers first: what follows it is often only its victim.",
    ),
    "failures": (
        "Failures by kind",
        "How many probes failed, by kind; the colour says whose fault, the pattern which kind.",
        "Start with the largest; hatched grey is ours and charges nobody.",
    ),
    "phases": (
        "Phases",
        "Where the median connection spends its time: name, TCP, TLS, upgrade, and then the race window.",
        "Only the race window grew: the application. All grew: the machine or the network.",
    ),
    "delay": (
        "Start delay",
        "How late we started a probe after its instant. It is never part of the target's latency.",
        "Above a second: the worker has too little room, and the target may be innocent.",
    ),
    "strategies": (
        "Strategies",
        "The same target under each strategy that served it: how soon connections were ready.",
        "Compare only strategies with many probes in the same span.",
    ),
    "bounds": (
        "95 % bounds",
        "Where the true share lies, 19 times of 20, given so few or so many probes.",
        "Two shares whose bounds overlap may be the same.",
    ),
    "false_ready_share": (
        "False ready",
        'The share of connections that were told "ready" too early, so that a message was lost.',
        "Serve a strategy that checks: dependency_gate.",
    ),
    "false_not_ready_share": (
        "False not-ready",
        "The share of connections that were held, or turned away, though the application was ready.",
        "Shorten the delay, or require less.",
    ),
    "added_latency": (
        "Added latency",
        "What the strategy itself adds between the application being ready and messages flowing.",
        "A delay adds what it waits in vain; a check adds about a millisecond.",
    ),
    "governing": (
        "Flags that govern it",
        "The flags that decide when this target's connections count as ready, as they are served now.",
        "A value that is not the safe variant stands out: undo what set it.",
    ),
    "revision": (
        "Revision",
        (
            "One number per environment, one more with every change of what is served. Each probe tells which one "
            "served it."
        ),
        "Open it: who, when, why, and how it fared.",
    ),
    "real_connections": (
        "Real connections",
        "What the watched servers count of their users' connections, beside what probes met.",
        "Probes fail and users do not, or the other way: they take different ways.",
    ),
    "changes": (
        "What changed",
        "The newest changes of flags that govern this target, and of what runs there.",
        'Compare their times with "since" in the story.',
    ),
    "residents": (
        "Long-lived connections",
        "Connections that are held for minutes to a day, and what ended each.",
        "The legend names the causes; each says what to check.",
    ),
    "queue": (
        "Queue",
        "Batches of slots that no worker of this location has taken.",
        "It must return to nought: if it grows, start another worker.",
    ),
    "loop_lag": (
        "Loop lag",
        "How late a worker's own timers fired at the worst, in the last second.",
        "Look at what else runs on its machine.",
    ),
    "flagged": (
        "Flagged",
        ("The share of probes whose latency our own clock could have spoiled. They count, but not in percentiles."),
        "More than a few in a hundred: give the worker room.",
    ),
    "clock": (
        "Clock",
        "A worker's clock beside Redis's, which all of them compare with.",
        "If it is off, check that machine's time service: probes begin beside their slots.",
    ),
    "on_time": (
        "On time",
        "The share of slots whose probe began within 250 ms after its instant.",
        "Late ones are ours: look at the start delay and the queue.",
    ),
    "held": (
        "Held revision",
        "The revision that a watched server says it serves by.",
        "One that lags: check that it reaches this address; it serves on by what it holds.",
    ),
    "verdict": (
        "Verdict",
        "What the probes since the change prove, by a test that may be looked at after every probe.",
        'Before it says "cured", wait; if it says "worse", undo.',
    ),
    "errors": (
        "Errors",
        "Slots without a finding because our probe broke, or was not allowed to dial.",
        "Open such a probe from its target: its evidence says which.",
    ),
    "late": (
        "Late",
        "Slots whose probe began more than 250 ms after its instant.",
        "Look at the queue and the loop lag: is the worker too slow, or its machine?",
    ),
}

CUTS: Mapping[Cut, str] = {
    # What is seen. What to check next stands in probes/engine/cuts.py.
    Cut.PLANNED: "We closed with 1000 after the time to hold it.",
    Cut.STOPPED: "We ended it early: a worker stopped, the target was paused or changed. Never charged.",
    Cut.RESTART: "Close 1012 or 1001; or at least three residents, and half of all, cut within half a second.",
    Cut.AGE_LIMIT: "It ended at an age that other connections share, or at a usual time-out.",
    Cut.IDLE_LIMIT: "It ended after a silence that no connection of the target has outlived.",
    Cut.HALF_OPEN: "Nothing came back, not even the pong to a ping, while TCP stood: we cut it.",
    Cut.RESET: "A TCP reset that no pattern explains.",
    Cut.DROPPED: "An end without a close frame that no pattern explains.",
    Cut.CLOSED: "Closed by the server with another code.",
    Cut.BROKEN: "Frames that break RFC 6455, or more than the limits on size.",
}
