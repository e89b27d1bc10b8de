"""The random secrets of the container stack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from ddcolor_operations.compose import secret_files
from ddcolor_operations.compose.cli import compose
from ddcolor_operations.compose.secret_files import (
    KIBANA,
    RANDOM,
    SecretFileError,
    ensure_secrets,
    ensure_user,
    kibana_settings,
)
from ddcolor_operations.layout import project_root


def contents(folder: Path) -> dict[str, str]:
    """Return name -> text of every file."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_secrets_are_private_random_and_kept(tmp_path: Path) -> None:
    """The first call makes every file, for one user alone; a second changes nothing."""
    folder = tmp_path / "secrets"
    assert set(ensure_secrets(folder)) == {*RANDOM, KIBANA}
    first = contents(folder)
    assert len({first[name] for name in RANDOM}) == len(RANDOM)
    assert all(len(first[name]) >= 32 for name in RANDOM)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert ensure_secrets(folder) == []
    assert contents(folder) == first


def test_secrets_of_two_stacks_differ(tmp_path: Path) -> None:
    """No value is the same in two folders."""
    ensure_secrets(tmp_path / "a")
    ensure_secrets(tmp_path / "b")
    assert not set(contents(tmp_path / "a").values()) & set(contents(tmp_path / "b").values())


def test_a_removed_secret_is_made_anew_and_kibana_follows(tmp_path: Path) -> None:
    """Rotating a password rewrites Kibana's file and keeps its encryption keys."""
    ensure_secrets(tmp_path)
    before = yaml.safe_load((tmp_path / KIBANA).read_text())
    (tmp_path / "kibana_system_password").unlink()
    assert ensure_secrets(tmp_path) == ["kibana_system_password", KIBANA]
    after = yaml.safe_load((tmp_path / KIBANA).read_text())
    password = (tmp_path / "kibana_system_password").read_text()
    assert after == before | {"elasticsearch.password": password}
    assert before["elasticsearch.password"] != password


def test_kibana_s_keys_are_long_and_differ() -> None:
    """Kibana wants at least 32 characters, and one leaked key must not open the rest."""
    settings = yaml.safe_load(kibana_settings('a "quoted" password', "key"))
    assert settings.pop("elasticsearch.password") == 'a "quoted" password'
    assert len(settings) == len(set(settings.values())) == 3
    assert all(len(key) >= 32 for key in settings.values())


def test_a_mode_that_is_too_wide_is_narrowed(tmp_path: Path) -> None:
    """A file that others could read is closed again: Elasticsearch would not start."""
    ensure_secrets(tmp_path)
    (tmp_path / "elastic_password").chmod(0o644)
    ensure_secrets(tmp_path)
    assert (tmp_path / "elastic_password").stat().st_mode & 0o777 == 0o600


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    """An empty file is named, not used as an empty password."""
    ensure_secrets(tmp_path)
    (tmp_path / "elastic_password").write_text("")
    with pytest.raises(SecretFileError, match=r"elastic_password is empty: remove it"):
        ensure_secrets(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file in the folder's place ends in one sentence."""
    (tmp_path / "secrets").write_text("")
    with pytest.raises(SecretFileError, match="secrets: File exists"):
        ensure_secrets(tmp_path / "secrets")


def test_the_user_stands_in_env_only_when_it_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User 1000 is what the file takes anyway; another is added once, beside what is there."""
    env = tmp_path / ".env"
    for uid in (1000, 0):  # root's files go to 1000
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        assert ensure_user(env) is None
    assert not env.exists()
    env.write_text("KIBANA_PORT=5602\n")
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert ensure_user(env) == "DDCOLOR_UID=1234"
    assert env.read_text() == "KIBANA_PORT=5602\nDDCOLOR_UID=1234\n"
    assert ensure_user(env) is None


def test_another_user_in_env_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers of a user who cannot read the secrets would not start: it is said before."""
    env = tmp_path / ".env"
    env.write_text("DDCOLOR_UID=4321\n")
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(SecretFileError, match="change the line to DDCOLOR_UID=1234"):
        ensure_user(env)


def test_command_names_files_and_no_value(tmp_path: Path) -> None:
    """The output says what was written; a second run has nothing to do."""
    arguments = ["secrets", "--folder", str(tmp_path / "s"), "--env-file", str(tmp_path / ".env")]
    first = CliRunner().invoke(compose, arguments)
    assert first.exit_code == 0
    assert "elastic_password" in first.output
    assert not [text for text in contents(tmp_path / "s").values() if text in first.output]
    assert "Nothing to do" in CliRunner().invoke(compose, arguments).output


def test_it_runs_without_any_library(tmp_path: Path) -> None:
    """A Python without site-packages is enough on the host."""
    program = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from ddcolor_operations.compose.secret_files import main
sys.exit(main())
"""
    subprocess.run(
        [
            *(sys.executable, "-I", "-S", "-c", program, str(project_root() / "operations")),
            *("--folder", str(tmp_path / "s"), "--env-file", str(tmp_path / ".env")),
        ],
        check=True,
        capture_output=True,
    )
    assert {path.name for path in (tmp_path / "s").iterdir()} == {*RANDOM, KIBANA}


def test_main_ends_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A problem is one line and exit status 1."""
    (tmp_path / "s").write_text("")
    arguments = ["--folder", str(tmp_path / "s"), "--env-file", str(tmp_path / ".env")]
    assert secret_files.main(arguments) == 1
    assert "File exists" in capsys.readouterr().err
