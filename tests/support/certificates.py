"""Certificates made for one test run: an authority of our own, and servers' certificates that are right or wrong."""

import ssl
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """A certificate authority that lives in a test's folder."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def server_context(
        self, name: str = "localhost", *, expired: bool = False, early: bool = False,
        newest: ssl.TLSVersion | None = None, asks_client: bool = False, ends_days: int = 2,
    ) -> ssl.SSLContext:  # fmt: skip
        """A server's TLS context with a certificate for `name`. `early`: the certificate is not valid yet.

        `newest`: it speaks no later version. `asks_client`: it wants a certificate of this authority from the client.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._file(name, -1 if expired else ends_days, starts_days=1 if early else -2))
        if newest is not None:
            # OpenSSL 3 takes TLS 1.0 and 1.1 for broken below this level, and Python warns of them.
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = context.maximum_version = newest
        if asks_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.pem)
        return context

    def server_files(self, name: str = "localhost", *, expired: bool = False) -> Path:
        """A PEM file with a certificate for `name` and its key."""
        return self._file(name, -1 if expired else 2)

    def client_pem(self, name: str = "prober") -> str:
        """A client's certificate with its key."""
        return self._file(name, 2).read_text()

    def _file(self, name: str, ends_days: int, starts_days: int = -2) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        start, end = now + timedelta(days=starts_days), now + timedelta(days=ends_days)
        certificate = (
            _builder(name, self.certificate.subject, key, start, end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = self.folder / f"{name}-{certificate.serial_number}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return path


def authority(folder: Path) -> Authority:
    """A new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Readywire test authority")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        _builder("Readywire test authority", subject, key, now - timedelta(days=2), now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(folder, key, certificate)


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
