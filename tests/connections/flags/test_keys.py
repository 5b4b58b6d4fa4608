"""Keys of watched servers."""

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone

from connections.flags import keys
from connections.flags.errors import UnknownEnvironment
from connections.models import AuditRecord, ServerKey


def test_only_the_hash_of_a_key_is_stored(db: None) -> None:
    row, key = keys.create("staging", "chat-1", author="alice")
    assert key.startswith("rws_")
    assert len(key) == 47
    assert row.prefix == key[:12]
    assert row.hash == hashlib.sha256(key.encode()).hexdigest()
    stored = str(ServerKey.objects.values().get()) + str(list(AuditRecord.objects.values()))
    assert key not in stored
    assert AuditRecord.objects.get().action == "server_key.create"


def test_a_key_belongs_to_one_environment(db: None) -> None:
    _, key = keys.create("staging", "chat-1", author="alice")
    holder = keys.verify(key)
    assert holder is not None
    assert (holder.environment, holder.name) == ("staging", "chat-1")
    assert keys.active() == {keys.key_hash(key): holder}
    with pytest.raises(UnknownEnvironment):
        keys.create("nowhere", "chat-1", author="alice")


@pytest.mark.parametrize("key", ["", "rws_", "rws_" + "a" * 43, "\udcff\x00"])
def test_other_keys_are_nobodys(db: None, key: str) -> None:
    keys.create("staging", "chat-1", author="alice")
    assert keys.verify(key) is None


def test_a_key_is_replaced_without_a_pause(db: None) -> None:
    old_row, old = keys.create("staging", "chat-1", author="alice")
    _, new = keys.create("staging", "chat-1", author="alice")
    assert keys.verify(old)
    assert keys.verify(new)
    assert keys.revoke(old_row, author="alice")
    assert keys.verify(old) is None
    assert keys.verify(new)


def test_a_key_is_revoked_once(db: None) -> None:
    row, _ = keys.create("staging", "chat-1", author="alice")
    assert keys.revoke(row, author="alice") is True
    assert keys.revoke(row, author="bob") is False
    assert AuditRecord.objects.filter(action="server_key.revoke").count() == 1


def test_use_is_written_at_most_once_a_minute(db: None) -> None:
    row, _ = keys.create("staging", "chat-1", author="alice")
    first = timezone.now()
    for seconds, noted in [(0, 0), (30, 0), (59, 0), (61, 61)]:
        keys.note_use(row.pk, first + timedelta(seconds=seconds))
        row.refresh_from_db()
        assert row.last_used_at == first + timedelta(seconds=noted)


def test_a_stream_credential_is_stable_and_belongs_to_its_key(db: None) -> None:
    """EventSource clients keep the address for ever: a credential that changed would leave them at a 401."""
    _, one = keys.create("staging", "chat-1", author="alice")
    _, other = keys.create("staging", "chat-2", author="alice")
    holder, stranger = keys.verify(one), keys.verify(other)
    assert holder is not None
    assert stranger is not None
    token = keys.stream_token(holder)
    assert token == keys.stream_token(holder)
    assert keys.check_stream_token(token, holder)
    assert not keys.check_stream_token(token, stranger)
    assert not keys.check_stream_token("1.é\udcff", holder)
    assert keys.verify(token) is None
