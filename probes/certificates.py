"""The certificate that each target showed last, for its page: a row is written only where it is another than before."""

from collections.abc import Iterable

from django.conf import settings
from django.db import transaction

from probes.engine.outcome import Certificate
from probes.memory import Memory
from probes.models import ServedCertificate
from probes.results_stream import Entry


def keep(entries: Iterable[Entry], memory: Memory) -> None:
    """Store what these outcomes saw, inside the caller's transaction; `memory` knows what needs no look."""
    newest: dict[int, Entry] = {}
    for entry in entries:
        if entry.outcome.certificate is not None:
            other = newest.get(entry.target_id)
            if other is None or other.slot < entry.slot:
                newest[entry.target_id] = entry
    shown = {pk: entry for pk, entry in newest.items() if memory.certificates.get(pk) != entry.outcome.certificate}
    if not shown:
        return
    stored = ServedCertificate.objects.in_bulk(shown)
    rows = [row for pk, entry in shown.items() if (row := _row(entry, stored.get(pk))) is not None]
    columns = ["subject", "issuer", "not_before", "not_after", "since"]
    ServedCertificate.objects.bulk_create(rows, update_conflicts=True, unique_fields=["target"], update_fields=columns)
    transaction.on_commit(lambda: _remember(memory, shown))


def _row(entry: Entry, stored: ServedCertificate | None) -> ServedCertificate | None:
    """The row to write; None where it is stored already, or where the outcome came later than a newer one's."""
    seen = entry.outcome.certificate
    if seen is None or (stored is not None and (entry.slot < stored.since or _facts(stored) == seen)):
        return None
    return ServedCertificate(
        target_id=entry.target_id,
        subject=seen.subject,
        issuer=seen.issuer,
        not_before=seen.not_before,
        not_after=seen.not_after,
        since=entry.slot,
    )


def _facts(row: ServedCertificate) -> Certificate:
    return Certificate(row.subject, row.issuer, row.not_before, row.not_after)


def _remember(memory: Memory, shown: dict[int, Entry]) -> None:
    if len(memory.certificates) > settings.RECORDER_MOST_TARGETS:
        memory.certificates.clear()
    memory.certificates |= {pk: entry.outcome.certificate for pk, entry in shown.items()}
