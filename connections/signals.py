"""What this layer announces to the layers above, after commit. Receivers that fail cost nothing here."""

from django.dispatch import Signal

revision_served = Signal()
"""An environment serves a new revision. Arguments: environment (its key), revision (its number)."""

server_reported = Signal()
"""A watched server told what it holds. Arguments: environment (its key), instance (the server's name), news (whether
who holds which revision is another thing now)."""

guard_tripped = Signal()
"""A guard has seen enough. Arguments: environment (its key), flag, trip (the id of the GuardTrip)."""
