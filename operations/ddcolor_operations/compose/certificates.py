"""A certificate authority of the stack's own, and what it signs for Elasticsearch and Kibana."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from ddcolor_operations.compose.secret_files import SecretFileError, hand_over

#: The authority's certificate: what clients are told to trust.
AUTHORITY = "ca.crt"
#: The parts that get a certificate, with the names that they have in the containers' networks. The
#: nodes of a cluster (compose/three-nodes.yml) share one.
SERVERS = {
    "elasticsearch": ("elasticsearch", "elasticsearch-2", "elasticsearch-3"),
    "kibana": ("kibana",),
}

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_AUTHORITY_DAYS = 3650
# Browsers refuse a server's certificate that is valid for longer.
_SERVER_DAYS = 397


def ensure_certificates(folder: Path, names: Sequence[str] = ()) -> list[str]:
    """Make the certificates that ``folder`` lacks and return the names of the new files.

    ``names`` are further host names of this machine, beside localhost. To renew a certificate,
    remove its file. Needs the openssl program. Raises SecretFileError.
    """
    made = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        hand_over(folder, 0o700)
        if not (folder / AUTHORITY).exists():
            _openssl(
                folder, "ca", "/CN=ddcolor certificate authority", _AUTHORITY_DAYS,
                *("-addext", "basicConstraints=critical,CA:TRUE"),
                *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            )  # fmt: skip
            made.append(AUTHORITY)
        for server, own_names in SERVERS.items():
            if (folder / f"{server}.crt").exists() and not made:
                continue
            hosts = ",".join(f"DNS:{name}" for name in (*own_names, "localhost", *names))
            _openssl(
                folder, server, f"/CN={server}", _SERVER_DAYS,
                *("-CA", str(folder / AUTHORITY), "-CAkey", str(folder / "ca.key")),
                *("-addext", f"subjectAltName={hosts},IP:127.0.0.1"),
                *("-addext", "basicConstraints=critical,CA:FALSE"),
            )  # fmt: skip
            made.append(f"{server}.crt")
    except OSError as error:
        raise SecretFileError(f"{error.filename or folder}: {error.strerror}.") from error
    return made


def _openssl(folder: Path, name: str, subject: str, days: int, *more: str) -> None:
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", *_KEY, "-keyout", str(key), "-out", str(certificate)),
                *("-subj", subject, "-days", str(days), *more),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as error:
        raise SecretFileError("openssl 3 is not installed: apt-get install openssl") from error
    except subprocess.CalledProcessError as error:
        raise SecretFileError(f"{certificate} cannot be made: {error.stderr.strip()}") from error
    hand_over(key, 0o600)
    hand_over(certificate, 0o600)
