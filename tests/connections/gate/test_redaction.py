"""What looks like a secret does not reach a record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.gate.redaction import HIDDEN, MOST_CHARACTERS, redacted

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r"
KEY = "rws_Zk3v9Qw7Tt1uXb5Lm8Rc2Yd6Hf0Jg4Ks9Np3Va7We"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("OperationalError: postgresql://chat:hunter2@db:5432/chat refused", "hunter2"),
        ("ConnectionError: redis://:hunter2@cache:6379", "hunter2"),
        ("401 from https://api.example/v1?key=hunter2&x=1", "hunter2"),
        ("password=hunter2 host=db", "hunter2"),
        ('{"api_key": "hunter2"}', "hunter2"),
        ("Authorization: Bearer hunter2hunter2", "hunter2"),
        ("offered bearer.hunter2hunter2", "hunter2"),
        ("X-Auth-Token: hunter2", "hunter2"),
        (f"cannot verify {JWT}", "dBjft"),
        (f"/ws/{JWT}/chat", "eyJzdWI"),
        (f"/ws/{KEY}", "Zk3v9"),
        (f"/ws/{KEY[:20]}-{KEY[20:]}/chat", "Zk3v9"),
        ("/ws/chat?token=hunter2", "hunter2"),
        ("session=hunter2; path=/", "hunter2"),
    ],
)
def test_secrets_are_hidden(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redacted(text)
    assert HIDDEN in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "/ws/chat",
        "/orders/from-2024-to-2025-for-every-customer-there-is",
        "/ws/3f2b8c1e-5d4a-4c3b-9a2f-0123456789ab/chat",
        "/gated/51-messages-where-50-may-be-held/and-40-more-of-them",
        "waiting for database, llm",
        "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 6379)",
        "no answer within 2 s, after TimeoutError: ",
        "readiness-strategy: 'unheard_of' is unknown to this library; dependency_gate is used instead",
        "is anybody there? yes",
    ],
)
def test_what_people_need_to_read_stays(text: str) -> None:
    assert redacted(text) == text


@given(st.text(max_size=2000))
def test_a_record_is_bounded_whatever_an_application_says(text: str) -> None:
    assert len(redacted(text)) <= MOST_CHARACTERS


@given(st.text(alphabet="abc0", min_size=8, max_size=24))
def test_a_password_never_survives_in_an_address(password: str) -> None:
    assert password not in redacted(f"could not reach postgresql://chat:{password}@db/chat").replace("chat", "")
