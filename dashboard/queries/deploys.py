"""Pages of deploys, newest first, for the page and for programs alike."""

from django.db.models import Q, QuerySet

from connections.models import Deploy


def older_than(before: str, rows: QuerySet[Deploy]) -> QuerySet[Deploy] | None:
    """The rows after the one whose number was given; None where there is no such row."""
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 16 else 0
    last = Deploy.objects.filter(pk=number).first()
    return rows.filter(Q(at__lt=last.at) | Q(at=last.at, pk__lt=last.pk)) if last else None
