"""Certificates with which the stand-in is taken for the hosts of Azure."""

from __future__ import annotations

import datetime
import ssl
import threading
from pathlib import Path
from typing import Any

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Certificates:
    """A certificate authority; makes a certificate for each host when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self._key, self._name = ec.generate_private_key(ec.SECP256R1()), _name("stand-in for Azure")
        authority = self._certificate(self._name, self._key, authority=True)
        self.bundle = folder / "bundle.pem"
        """What clients trust: the usual authorities, and this one."""
        self.bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + _pem(authority))

    def context(self, host: str) -> ssl.SSLContext:
        """What a server needs to be taken for `host` by those who trust `bundle`."""
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._contexts[host].load_cert_chain(self._chain(host))
            return self._contexts[host]

    def _chain(self, host: str) -> Path:
        """A file with a key and a certificate for a host."""
        key = ec.generate_private_key(ec.SECP256R1())
        file = self._folder / f"{host}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file.write_bytes(private + _pem(self._certificate(_name(host[:64]), key, host=host)))
        return file

    def _certificate(
        self, name: x509.Name, key: Any, *, host: str = "", authority: bool = False
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if host:
            names = x509.SubjectAlternativeName([x509.DNSName(host)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
