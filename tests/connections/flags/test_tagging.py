"""Which flags a key selects."""

from typing import Any

import pytest

from connections.flags import control, keys, reading
from connections.flags.tagging import TagError, checked, selected
from connections.models import AuditRecord
from tests.connections.flags.conftest import Flags


def flag(*tags: str) -> dict[str, Any]:
    body = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    return {**body, "tags": list(tags)} if tags else body


FLAGS = {"everybodys": flag(), "chat": flag("chat"), "both": flag("chat", "shop"), "shop": flag("shop")}


@pytest.mark.parametrize(
    ("tags", "keys"),
    [
        ([], ["everybodys", "chat", "both", "shop"]),
        (["chat"], ["everybodys", "chat", "both"]),
        (["shop", "chat"], ["everybodys", "chat", "both", "shop"]),
        (["nobodys"], ["everybodys"]),
    ],
)
def test_a_key_gets_the_flags_with_its_tags_and_those_without_any(tags: list[str], keys: list[str]) -> None:
    assert selected(FLAGS, tags) == keys


@pytest.mark.parametrize("tags", [["A"], [""], ["a b"], [1], ["a" * 41], [str(number) for number in range(21)]])
def test_what_is_no_tag(tags: list[Any]) -> None:
    with pytest.raises(TagError):
        checked(tags)


def test_a_key_carries_its_tags(staging: Flags) -> None:
    row, key = keys.create("staging", "chat-1", author="alice", tags=["shop", "chat"])
    holder = keys.verify(key)
    assert holder is not None
    assert holder.tags == {"chat", "shop"}
    assert keys.active()[holder.hash] == holder
    assert row.tags == ["chat", "shop"]
    assert (AuditRecord.objects.get(action="server_key.create").after or {})["tags"] == ["chat", "shop"]
    with pytest.raises(TagError):
        keys.create("staging", "chat-2", author="alice", tags=["Chat!"])


def test_a_scope_has_its_own_hash_and_the_layers_over_its_flags(staging: Flags) -> None:
    who: dict[str, Any] = {"author": "alice", "reason": "chat answers vanish"}
    body = {**flag("chat"), "metadata": {"safeVariant": "off"}}
    control.define("staging", {**FLAGS, "chat": body}, expected_version=1, **who)
    control.kill("staging", "chat", **who)
    whole = reading.flag_set("staging")
    chat, shop = whole.selected({"chat"}), whole.selected({"shop"})
    assert len({whole.etag, chat.etag, shop.etag}) == 3
    assert {whole.revision, chat.revision, shop.revision} == {3}
    assert chat.served["chat"]["defaultVariant"] == "off"
    assert "shop" not in chat.served
    assert "readiness-strategy" in chat.served
    assert "tags" not in chat.served["chat"]
