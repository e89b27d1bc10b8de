"""A certificate for localhost, trusted by nobody: it protects only what tests send to themselves.

Made once with ``openssl req -x509 -newkey rsa:2048 -nodes -days 36500 -subj /CN=localhost -addext
subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:TRUE``.
"""

import ssl
from pathlib import Path

CERTIFICATE = Path(__file__).parent / "certificates" / "localhost.crt"


def server_context() -> ssl.SSLContext:
    """Return the context of a server that shows the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_suffix(".key"))
    return context


def client_context() -> ssl.SSLContext:
    """Return the context of a client that trusts the certificate alone."""
    return ssl.create_default_context(cafile=str(CERTIFICATE))
