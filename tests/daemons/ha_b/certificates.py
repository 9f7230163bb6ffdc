"""A certificate authority for a test run."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from closedloop_nf.runtime.config import TlsClientConfig, TlsServerConfig
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """`ca` is the file of its certificate."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        certificate = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=6))
        )

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and key file of `name`, good for ::1 too."""
        certificate, key_file = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        if not certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("::1"))])
            signed = (
                self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
                .add_extension(names, critical=False)
                .sign(self._key, hashes.SHA256())
            )
            key_file.touch(mode=0o600)
            key_file.write_bytes(
                key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            )
            certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return certificate, key_file

    def server(self, name: str, *, mutual: bool = False) -> TlsServerConfig:
        certificate, key = self.issue(name)
        return TlsServerConfig(certificate=certificate, key=key, client_ca=self.ca if mutual else None)

    def client(self, name: str | None = None) -> TlsClientConfig:
        if name is None:
            return TlsClientConfig(ca=self.ca, server_name="ha-b")
        certificate, key = self.issue(name)
        return TlsClientConfig(ca=self.ca, server_name="ha-b", certificate=certificate, key=key)
