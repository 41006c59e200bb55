"""Certificates of an authority that nobody else trusts, made on the fly."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import trustme

PASSWORD = "S3cret-of-alice"
# Of PASSWORD, at the lowest cost that bcrypt has.
HASH = "$2b$04$KdzsHYNcbUunXl5xFA0.o.hqJSCrI8C.nUFXmwFjJR4owBX3/DiQS"


@cache
def authority(name: str = "one") -> trustme.CA:
    """Return the authority of a name."""
    return trustme.CA(organization_name=name)


def write_authority(folder: Path, name: str = "one") -> Path:
    """Write the authority's own certificate and return its path."""
    path = folder / f"{name}.ca.pem"
    authority(name).cert_pem.write_to_path(path)
    return path


def write_certificate(
    folder: Path,
    stem: str,
    *names: str,
    authority_name: str = "one",
    ends: datetime | None = None,
) -> tuple[Path, Path]:
    """Write a certificate of these names, and its key; return both paths."""
    issued = authority(authority_name).issue_cert(
        *(names or ("localhost", "127.0.0.1")), not_after=ends
    )
    certificate, key = folder / f"{stem}.crt", folder / f"{stem}.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    return certificate, key


LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
