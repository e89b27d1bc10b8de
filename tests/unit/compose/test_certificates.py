"""The stack's own authority and what it signs."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from ddcolor_operations.cli import cli
from ddcolor_operations.compose.certificates import AUTHORITY, SERVERS, ensure_certificates
from ddcolor_operations.compose.secret_files import SecretFileError


def handshake(folder: Path, server: str, name: str) -> None:
    """Connect to a server that shows a certificate, as a client that trusts the authority."""
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(folder / f"{server}.crt", folder / f"{server}.key")
    trusting = ssl.create_default_context(cafile=str(folder / AUTHORITY))
    left, right = socket.socketpair()

    def serve() -> None:
        try:
            shown.wrap_socket(left, server_side=True).close()
        except ssl.SSLError:
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        trusting.wrap_socket(right, server_hostname=name).close()
    finally:
        right.close()
        thread.join()


def test_clients_that_trust_the_authority_take_each_server(tmp_path: Path) -> None:
    """Each certificate is good for its part's name, localhost and further names, no others."""
    ensure_certificates(tmp_path, ["photos.example"])
    for server in SERVERS:
        for name in (server, "localhost", "127.0.0.1", "photos.example"):
            handshake(tmp_path, server, name)
        with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
            handshake(tmp_path, server, "other.example")


def test_another_authority_is_not_trusted(tmp_path: Path) -> None:
    """A client of one stack refuses the servers of another."""
    ensure_certificates(tmp_path / "a")
    ensure_certificates(tmp_path / "b")
    (tmp_path / "a" / AUTHORITY).write_bytes((tmp_path / "b" / AUTHORITY).read_bytes())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path / "a", "kibana", "kibana")


def test_files_are_private_and_kept(tmp_path: Path) -> None:
    """Keys are for one user alone; a second call makes nothing, a removed file is made anew."""
    assert ensure_certificates(tmp_path) == [AUTHORITY, "elasticsearch.crt", "kibana.crt"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert ensure_certificates(tmp_path) == []
    (tmp_path / "kibana.crt").unlink()
    assert ensure_certificates(tmp_path) == ["kibana.crt"]
    handshake(tmp_path, "kibana", "kibana")


def test_a_new_authority_signs_everything_anew(tmp_path: Path) -> None:
    """Certificates of an authority that is gone would be refused: they are replaced with it."""
    ensure_certificates(tmp_path)
    (tmp_path / AUTHORITY).unlink()
    assert len(ensure_certificates(tmp_path)) == 1 + len(SERVERS)
    handshake(tmp_path, "elasticsearch", "elasticsearch")


def test_a_machine_without_openssl_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the program and how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SecretFileError, match="openssl 3 is not installed"):
        ensure_certificates(tmp_path / "tls")


def test_a_refusal_of_openssl_is_passed_on(tmp_path: Path) -> None:
    """A name that is none ends with openssl's own reason and the file in question."""
    with pytest.raises(SecretFileError, match=r"elasticsearch\.crt cannot be made: "):
        ensure_certificates(tmp_path, ["two\nlines=:"])


def test_the_command_says_what_it_made(tmp_path: Path) -> None:
    """The first run names each certificate, the second has nothing to do."""
    command = ["compose", "certificates", "--folder", str(tmp_path / "tls"), "--name", "a.example"]
    first, second = (CliRunner().invoke(cli, command) for _ in range(2))
    assert [first.exit_code, second.exit_code] == [0, 0]
    assert first.stdout.count("Wrote ") == 1 + len(SERVERS)
    assert second.stdout.startswith("Nothing to do")
