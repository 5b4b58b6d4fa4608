"""What the pages of a proposal, plan, deploy and key need, in DATA_DIR: `python -m tests.support.make_every_page`."""

import os
from datetime import timedelta
from typing import Any

import django
from django.utils import timezone


def main() -> None:
    """The command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    django.setup()
    # Models can be imported only now.
    from connections.flags import control, keys, proposals
    from connections.flags.errors import NeedsSecondPerson
    from connections.flags.policy import set_policy
    from connections.flags.reading import flag_set
    from connections.flags.team_plans import Draft, make_plan
    from tests.support.history import deploy

    deploy("staging", "chat 5.12.0", timezone.now() - timedelta(minutes=5))
    draft = Draft("quiet-night", "Quiet night", "Everything as it was on Friday.", {"client-ack": "off"})
    make_plan(draft, author="Ada")
    keys.create("staging", "chat", author="Ada")
    policy: dict[str, Any] = {"reason_required": True, "four_eyes": True, "guard_mode": "observe"}
    set_policy("production", author="Ada", reason="we go live today", **policy)
    try:
        control.change(
            "production",
            {"readiness-strategy": "immediate"},
            author="Rosa",
            reason="tokens sooner for everybody",
            expected_version=flag_set("production").version,
        )
    except NeedsSecondPerson as needed:
        proposals.propose(needed, by_person=True)


if __name__ == "__main__":
    main()
