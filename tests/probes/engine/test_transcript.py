"""What a person may read of a conversation."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from probes.engine.transcript import Redactor, Transcript, secrets_of

SECRET = "sup3r-s3cret-value"


def shown(text: str, *secrets: str) -> str:
    return Redactor(secrets)(text)


def test_a_secret_is_hidden_in_every_form_it_travels_in() -> None:
    """As it is, percent-encoded, and in Basic authentication's base64."""
    token = "a+b/c=d e-secret"
    for form in (token, "a%2Bb%2Fc%3Dd%20e-secret", base64.b64encode(token.encode()).decode()):
        assert form not in shown(f"x {form} y", token)


def test_what_looks_like_a_credential_is_hidden_though_nobody_named_it() -> None:
    """A server may echo what another client sent."""
    for text in (
        "Authorization: Basic abcdefgh",
        "Sec-WebSocket-Protocol: chat, bearer.eyJhbGciOi.J9.abc",
        '{"token": "abcdefgh"}',
        "/ws?access_token=abcdefgh&room=1",
        "Set-Cookie: session=abcdefgh; Path=/",
    ):
        assert "abcdefgh" not in shown(text)
        assert "eyJhbGciOi" not in shown(text)


def test_ordinary_text_stays_as_it_is() -> None:
    """Evidence must remain readable."""
    text = '{"type": "agent_started", "run_id": "0123", "seq": 1}'
    assert shown(text, SECRET) == text


def test_the_value_of_a_sensitive_header_is_a_secret_with_and_without_its_scheme() -> None:
    """`Bearer X` hides X alone too."""
    secrets = secrets_of("", {"Authorization": f"Bearer {SECRET}", "X-Colour": "green"})
    assert SECRET in secrets
    assert "green" not in secrets


def test_all_headers_of_the_credentials_are_secrets() -> None:
    """Whatever they are called."""
    assert SECRET in secrets_of("", {"X-Colour": SECRET}, all_headers=True)


@given(st.integers(0, 100))
def test_a_secret_on_the_edge_of_a_cut_does_not_leak_its_first_half(padding: int) -> None:
    """What is recorded is cut before secrets are hidden: the half that nothing recognises must go."""
    secret = SECRET * 5
    transcript = Transcript()
    transcript.note(0, 0, "in", "text", "." * padding + secret * 100)
    frame = transcript.frames(0, Redactor([secret]), 100_000, kernel=True)[0]
    assert SECRET[:6] not in frame.text


@given(st.lists(st.integers(0, 9_000), max_size=200), st.integers(0, 20_000))
def test_a_transcript_never_grows_beyond_its_bound(sizes: list[int], bound: int) -> None:
    """However many frames of whatever size."""
    transcript = Transcript()
    for size in sizes:
        transcript.note(0, 0, "in", "text", "x" * size)
    frames = transcript.frames(0, Redactor([]), bound, kernel=True)
    assert sum(len(frame.text) for frame in frames) <= bound
    assert len(frames) <= 61


def test_the_first_and_the_last_frames_are_kept() -> None:
    """The middle is counted."""
    transcript = Transcript()
    for number in range(100):
        transcript.note(number * 1000, 0, "in", "text", str(number))
    frames = transcript.frames(0, Redactor([]), 16_384, kernel=True)
    assert frames[0].text == "0"
    assert frames[-1].text == "99"
    assert any("40 frames left out" in frame.text for frame in frames)
