"""The part of a target's form that says how it is reached. What is secret in it is sealed, and never shown again."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from probes.credentials import CredentialsError, unseal
from probes.engine.connection import Connection, OptionError, proxy_of
from probes.engine.tls import tls_context
from probes.models import Target

LABELS = {
    "family": "Addresses",
    "address": "Node to dial",
    "server_name": "Name in the certificate",
    "ca_pem": "Authorities to trust",
    "client_pem": "Our certificate and key",
    "proxy": "Proxy",
    "proxy_login": "Proxy login",
}
"""The form's fields, and what they are called there."""
SECRETS = ("token", "client_pem", "proxy_login")
LONGEST_PEM = 65_536
FAMILIES = {"any": "IPv6 or IPv4, whichever answers first", "ipv4": "IPv4 only", "ipv6": "IPv6 only"}


class FieldError(ValueError):
    """What is wrong with one field, as a sentence that names it and the cure."""

    def __init__(self, field: str, fault: str) -> None:
        super().__init__(f"{LABELS[field]}: {fault}")
        self.field = field


def stored_in(target: Target | None) -> dict[str, Any]:
    """A target's credentials; {} where it has none, or where they were sealed with another SECRET_KEY."""
    try:
        return unseal(target.credentials) if target else {}
    except CredentialsError:
        return {}


def shown(stored: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the fields for stored credentials: nothing secret."""
    connection = stored.get("connection", {})
    return {
        "family": connection.get("family", "any"),
        "address": connection.get("address", ""),
        "server_name": connection.get("server_name", ""),
        "ca_pem": stored.get("ca_pem", ""),
        "client_pem": "",
        "proxy": _open(connection.get("proxy", "")),
        "proxy_login": "",
    }


def secrets_of(stored: Mapping[str, Any]) -> frozenset[str]:
    """Which secret fields have something stored."""
    connection = stored.get("connection", {})
    kept = {
        "token": stored.get("token"),
        "client_pem": connection.get("client_pem"),
        "proxy_login": _login(connection.get("proxy", "")),
    }
    return frozenset(name for name, value in kept.items() if value)


def read(values: Mapping[str, str], forgets: Collection[str], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The parts `ca_pem` and `connection` of a target's credentials. Raises FieldError.

    An empty secret keeps what is stored, unless it is to be forgotten.
    """
    before = stored.get("connection", {})
    connection = {name: values[name].strip() for name in ("family", "address", "server_name")}
    connection["client_pem"] = _pem(values["client_pem"])
    if not connection["client_pem"] and "client_pem" not in forgets:
        connection["client_pem"] = before.get("client_pem", "")
    ca_pem = _pem(values["ca_pem"])
    if len(ca_pem) > LONGEST_PEM:
        raise FieldError("ca_pem", f"is longer than {LONGEST_PEM} characters. Paste only the authorities it needs.")
    try:
        connection["proxy"] = _proxy(values, forgets, before.get("proxy", ""))
        options = Connection.from_json(connection)
        tls_context(ca_pem, options.client_pem)
    except OptionError as error:
        cure = "Write http://host:port" if error.field == "proxy" else error.cure  # its login has a field of its own
        raise FieldError(error.field, f"{error.fault}. {cure}.") from error
    return {"ca_pem": ca_pem, "connection": options.to_json()}


def _proxy(values: Mapping[str, str], forgets: Collection[str], before: str) -> str:
    """The proxy's URL with its login. Raises FieldError and OptionError."""
    url, typed = values["proxy"].strip(), values["proxy_login"].strip()
    if not url:
        if typed:
            raise FieldError("proxy", "is empty, but has a login. Write http://host:port.")
        return ""
    if proxy_of(url).authorization:
        raise FieldError("proxy", "holds a name or password. Write them into the proxy login, which is never shown.")
    if typed:
        return _with_login(url, typed)
    if "proxy_login" in forgets or not _login(before):
        return url
    if url != _open(before):
        raise FieldError("proxy_login", "the stored one belongs to another proxy. Enter it again, or forget it.")
    return before


def _with_login(url: str, login: str) -> str:
    name, colon, password = login.partition(":")
    if not name or not colon:
        raise FieldError("proxy_login", "is no name with a password. Write name:password.")
    parts = urlsplit(url)
    place = f"{quote(name, safe='')}:{quote(password, safe='')}@{parts.netloc}"
    return urlunsplit(parts._replace(netloc=place))


def _open(proxy: str) -> str:
    """A proxy's URL without its login."""
    parts = urlsplit(proxy)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _login(proxy: str) -> str:
    """The login of a proxy's URL, as a person writes it; "" where it has none."""
    name, at, _ = urlsplit(proxy).netloc.rpartition("@")
    return unquote(name) if at else ""


def _pem(text: str) -> str:
    """PEM as one stores it: a browser sends every line end as two characters."""
    lines = text.replace("\r\n", "\n").strip()
    return f"{lines}\n" if lines else ""
