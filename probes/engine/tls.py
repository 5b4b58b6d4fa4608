"""TLS of a probe: contexts, and what a certificate that was refused says of itself."""

import os
import ssl
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from probes.engine.connection import OptionError
from probes.engine.outcome import Certificate

_NAMES_SHOWN = 5
_NAME_CHARS = 80


@lru_cache(maxsize=64)
def tls_context(ca_pem: str, client_pem: str = "") -> ssl.SSLContext:
    """A verifying client context; made once per set of certificates, for loading the system's takes milliseconds.

    Raises OptionError where `ca_pem` or `client_pem` cannot be used.
    """
    try:
        context = ssl.create_default_context(cadata=ca_pem or None)
    except (ssl.SSLError, ValueError) as error:
        raise OptionError("ca_pem", "holds no certificates", "Paste them as PEM") from error
    context.set_alpn_protocols(["http/1.1"])
    if client_pem:
        _load_chain(context, client_pem)
    return context


def _load_chain(context: ssl.SSLContext, client_pem: str) -> None:
    """OpenSSL reads a private key from a file only: one in memory never reaches a disk."""
    descriptor = os.memfd_create("client_pem")
    try:
        os.write(descriptor, client_pem.encode())
        # A key with a passphrase would be asked for on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    except (ssl.SSLError, ValueError) as error:
        cure = "Paste the certificate first and its own private key after it, as PEM"
        raise OptionError("client_pem", "holds no certificate with its private key", cure) from error
    finally:
        os.close(descriptor)


@lru_cache(maxsize=1)
def unverified_context() -> ssl.SSLContext:
    """For a look at a certificate that was refused. Nothing is ever sent or believed over it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def described(der: bytes) -> str:
    """A certificate's dates, names and issuer, for a person. What a server sends may be anything: then ""."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        dates = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to {certificate.not_valid_after_utc:%Y-%m-%d %H:%M}"
        issuer = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
        by = f", issued by {_short(issuer[0].value)}" if issuer else ""
        return f"valid {dates} UTC, for {', '.join(_names(certificate)) or 'no name'}{by}"
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def certificate_of(der: bytes) -> Certificate | None:
    """What a certificate says of itself, read once for each; None for one that cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = [*_common_names(certificate.subject), *_names(certificate)]
        return Certificate(
            subject=names[0] if names else "",
            issuer=next(iter([*_common_names(certificate.issuer), *_organisations(certificate.issuer)]), ""),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )
    except ValueError:
        return None


def _common_names(name: x509.Name) -> list[str]:
    return [_short(each.value) for each in name.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _organisations(name: x509.Name) -> list[str]:
    return [_short(each.value) for each in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    shown = [_short(name) for name in names.get_values_for_type(x509.DNSName)]
    shown += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return [*shown[:_NAMES_SHOWN], f"{len(shown) - _NAMES_SHOWN} more"] if len(shown) > _NAMES_SHOWN else shown


def _short(value: str | bytes) -> str:
    return str(value)[:_NAME_CHARS]
