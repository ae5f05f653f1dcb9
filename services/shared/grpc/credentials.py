"""The certificate that a server shows, read anew when its files change.

gRPC's library asks for it before each handshake, in a thread of its own. Connections that are there
keep the one that they began with, until they are as old as the settings let them be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.shared.runtime import certificates
from services.shared.runtime.logging import get_logger
from services.shared.runtime.trouble import Trouble

log = get_logger(__name__)

_Stamp = tuple[tuple[int, int, int], ...]
_SAYING: Final = "certificate_not_read"


class CertificateError(Exception):
    """There is no certificate to show; the message says why."""


class Certificate:
    """Of one server."""

    def __init__(self, name: str, certificate_file: Path, key_file: Path) -> None:
        """Raises CertificateError. name: what the metric of its end calls it."""
        self._name = name
        self._files = (certificate_file, key_file)
        self._trouble = Trouble()
        self._stamp = self._looked_at()
        self._shown = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """For a port."""
        changed: Any = self.changed  # the stubs know of no None, the library does
        return grpc.dynamic_ssl_server_credentials(self._shown, changed)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What is to be shown from now on; None: what was, be it that the new one cannot be."""
        try:
            stamp = self._looked_at()
            if stamp == self._stamp:
                return None
            shown = self._read()
        except CertificateError as error:
            if self._trouble.worth_logging(_SAYING):
                log.warning(_SAYING, error=str(error), meaning="the one before is still shown")
            return None
        self._trouble.over()
        self._stamp = stamp
        log.info("certificate_changed")
        return shown

    def _looked_at(self) -> _Stamp:
        try:
            found = [file.stat() for file in self._files]
        except OSError as error:
            raise CertificateError(f"{error.filename}: {error.strerror}; mount it there") from error
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        file, key_file = self._files
        try:
            chain, key = file.read_bytes(), key_file.read_bytes()
            certificate = x509.load_pem_x509_certificate(chain)
            of_key = load_pem_private_key(key, None).public_key()
        except (OSError, TypeError, ValueError) as error:
            # Never the text of ValueError: nobody knows what of a key it repeats.
            raise CertificateError(
                f"{file}, {key_file}: {type(error).__name__}; they must hold a certificate and its"
                " key in PEM, the key without a password"
            ) from error
        if of_key != certificate.public_key():
            # They are mounted together, and read one after the other: the next look finds both.
            raise CertificateError(f"{key_file} is not the key of the certificate in {file}")
        certificates.note(self._name, certificate.not_valid_after_utc.timestamp())
        return grpc.ssl_server_certificate_configuration([(key, chain)])
