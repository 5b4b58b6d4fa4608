"""What the first start gives a newcomer: two reference targets, and the origin's fault switched on in staging."""

from connections.flags import control, keys, reading
from connections.models import ServerKey, Version
from probes import targets
from probes.engine.script import Script
from probes.models import Target

AUTHOR = "readywire"
KEY_NAME = "reference chat"
INTERVAL_MS = 2_000
DEADLINE_MS = 3_000
"""Above the longest setup of a reference service (1.2 s), so that silence at the deadline is the fault, not haste."""
EVENTS_WITHIN_S = 1.0
"""Far above what an answer takes (some 25 ms), and far enough below the deadline that a late event is seen as late."""
_TARGETS = {
    "staging": ("staging-chat", "Staging chat"),
    "production": ("production-chat", "Production chat"),
}


def prepare(ports: tuple[int, int]) -> dict[str, str]:
    """Make the reference targets and flags once, and a fresh server key per environment, returned by environment.

    Keys are stored hashed only, so each start issues new ones and revokes those of the last run.
    """
    fresh = not Target.objects.filter(is_reference=True).exists()
    for environment, port in zip(_TARGETS, ports, strict=True):
        _point_target(environment, f"ws://127.0.0.1:{port}/ws/chat")
    if fresh:
        _start_staging_with_the_fault()
    return {environment: _fresh_key(environment) for environment in _TARGETS}


def _point_target(environment: str, url: str) -> None:
    slug, name = _TARGETS[environment]
    script = Script(events_within_s=EVENTS_WITHIN_S).to_json()
    if Target.objects.filter(slug=slug).exists():
        ours = Target.objects.filter(slug=slug, is_reference=True)
        ours.exclude(url=url).update(url=url)
        if untouched := ours.filter(script=Script().to_json()).first():
            targets.update_target(untouched, by=AUTHOR, reason="An event may take a second", script=script)
        return
    targets.create_target(
        by=AUTHOR,
        reason="First start",
        environment=environment,
        name=name,
        slug=slug,
        url=url,
        script=script,
        interval_ms=INTERVAL_MS,
        deadline_ms=DEADLINE_MS,
        is_reference=True,
    )


def _start_staging_with_the_fault() -> None:
    version = reading.current_version("staging")
    if version.kind == Version.Kind.INITIAL:
        control.change(
            "staging",
            {"readiness-strategy": "immediate"},
            author=AUTHOR,
            reason="First start: the fault that readywire exists for",
            expected_version=version.number,
        )


def _fresh_key(environment: str) -> str:
    for row in ServerKey.objects.filter(environment_id=environment, name=KEY_NAME, revoked_at=None):
        keys.revoke(row, author=AUTHOR)
    return keys.create(environment, KEY_NAME, author=AUTHOR)[1]
