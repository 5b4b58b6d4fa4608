"""What this app announces; upper layers listen."""

from django.dispatch import Signal

recorded = Signal()
"""Sent after a commit that changed results or statuses; keyword `target_ids`: frozenset[int]."""
