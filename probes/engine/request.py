"""What the upgrade request carries of a target's credentials: in the URL, in headers, or among the subprotocols."""

import json
import re
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

from probes.engine.fields import ScriptError
from probes.engine.script import TOKEN, TargetSpec

_SENDABLE = re.compile(r"[\x21-\x7e]*")


def url_of(spec: TargetSpec) -> str:
    """The URL with the script's query, and the token where it belongs there."""
    script = spec.script
    added = dict(script.query)
    if spec.token and script.auth == "query":
        added[script.auth_name or "token"] = spec.token
    if not added:
        return spec.url
    parts = urlsplit(spec.url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(added))))))


def subprotocols_of(spec: TargetSpec) -> list[str]:
    """The subprotocols to offer, the token's last. Raises ScriptError for a token that no header can carry."""
    if not spec.token or spec.script.auth != "subprotocol":
        return list(spec.script.subprotocols)
    return [*spec.script.subprotocols, f"{spec.script.auth_name or 'bearer'}.{_checked(spec.token)}"]


def headers_of(spec: TargetSpec) -> Mapping[str, str]:
    """The script's headers and the secret ones, with the token and the cookies. Raises ScriptError as above."""
    script = spec.script
    if not script.cookies and (not spec.token or script.auth != "header"):
        return {**script.headers, **spec.headers}
    headers = dict(script.headers)
    if spec.token and script.auth == "header":
        headers["Authorization"] = f"{script.auth_name or 'Bearer'} {_checked(spec.token)}"
    headers.update(spec.headers)
    if script.cookies:
        given = [headers.pop(name) for name in list(headers) if name.lower() == "cookie"]
        headers["Cookie"] = "; ".join([*given, *(f"{name}={value}" for name, value in script.cookies.items())])
    return headers


def with_token(spec: TargetSpec, text: str) -> str:
    """A message with the token where the script puts it into the conversation."""
    return text.replace(TOKEN, json.dumps(spec.token)[1:-1]) if TOKEN in text else text


def _checked(token: str) -> str:
    if not _SENDABLE.fullmatch(token):
        raise ScriptError("token", "holds spaces or characters outside ASCII", "Check what was pasted")
    return token
