"""Target credentials at rest and in the queue: Fernet (AES-128-CBC + HMAC) under a key derived from SECRET_KEY."""

import base64
import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class CredentialsError(Exception):
    """Sealed credentials that this SECRET_KEY does not open."""


def seal(credentials: dict[str, Any]) -> str:
    """Encrypted text of JSON-ready credentials; "" for none."""
    return _fernet(settings.SECRET_KEY).encrypt(json.dumps(credentials).encode()).decode() if credentials else ""


def unseal(sealed: str) -> dict[str, Any]:
    """What `seal` was given; {} for "". Raises CredentialsError where the key differs or the text was altered."""
    if not sealed:
        return {}
    try:
        found: dict[str, Any] = json.loads(_fernet(settings.SECRET_KEY).decrypt(sealed.encode()))
    except InvalidToken as error:
        raise CredentialsError(
            "the credentials were sealed with another SECRET_KEY: set the same SECRET_KEY here, or enter them again"
        ) from error
    return found


@lru_cache(maxsize=4)
def _fernet(secret: str) -> Fernet:
    # RFC 5869; `info` keeps this key apart from Django's own uses of SECRET_KEY.
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"readywire target credentials").derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))
