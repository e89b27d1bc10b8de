"""The command ``ddcolor-obs demo``: options, exit codes, and the JSON file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ddcolor_operations.demo import cli
from ddcolor_operations.demo.client import DemoError
from ddcolor_operations.demo.show import Display
from ddcolor_operations.report.facts import Run
from ddcolor_operations.stack import StackConfig
from tests.support import runs


class _Runner:
    """Runs the command with a performance that is given; keeps the settings it came to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer: Run | Exception = runs.run(folder)
        self.configs: list[StackConfig] = []

    def perform(self, config: StackConfig, _display: Display, *, keep: bool) -> Run:
        del keep
        self.configs.append(config)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def __call__(self, *arguments: str) -> Result:
        state = ("--state", str(self.folder / "state"))
        return CliRunner().invoke(cli.demo, [*state, *arguments])


@pytest.fixture
def run_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Runner:
    """Return the command without set-up and stack."""
    runner = _Runner(tmp_path)
    monkeypatch.setattr(cli, "ensure_toolchain", lambda **_: None)
    monkeypatch.setattr(cli, "_run", runner.perform)
    monkeypatch.setattr(cli, "missing", lambda _: [])
    monkeypatch.chdir(tmp_path)
    return runner


def test_a_good_run_ends_with_0_and_writes_the_facts(run_demo: _Runner, tmp_path: Path) -> None:
    """The JSON file's folder is made, and holds what the run found."""
    result = run_demo("--json", str(tmp_path / "out" / "facts.json"), "--port-offset", "7")

    assert result.exit_code == 0
    assert json.loads((tmp_path / "out" / "facts.json").read_text())["ok"] is True
    (config,) = run_demo.configs
    assert config.demo
    assert config.language == "zh"
    assert config.port_offset == 7


def test_a_missing_alert_ends_with_1_and_still_writes_the_facts(
    run_demo: _Runner, tmp_path: Path
) -> None:
    """A script sees the exit code and reads the problem."""
    broken = runs.fault("lost", ("decode_failed", 2), arrived=False)
    run_demo.answer = runs.run(tmp_path, faults=(broken,))
    result = run_demo("--json", str(tmp_path / "facts.json"))

    assert result.exit_code == 1
    assert json.loads((tmp_path / "facts.json").read_text())["problems"]


def test_facts_that_cannot_be_written_are_said(run_demo: _Runner, tmp_path: Path) -> None:
    """The run was good, but a script that waits for the file must not take it for one."""
    (tmp_path / "file").touch()
    result = run_demo("--json", str(tmp_path / "file" / "facts.json"))

    assert result.exit_code == 1
    assert "facts.json cannot be written" in result.output


def test_a_demo_that_cannot_go_on_says_why(run_demo: _Runner) -> None:
    """An error is one plain sentence, not a traceback."""
    run_demo.answer = DemoError("The service is gone; see the log of part service.")
    result = run_demo()

    assert result.exit_code == 1
    assert result.output.strip() == "Error: The service is gone; see the log of part service."


def test_a_notifier_of_the_users_own_is_not_used(
    run_demo: _Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo's alerts reach no real chat, whatever the settings of this machine say."""
    monkeypatch.setenv("DDCOLOR_OBS_NOTIFIER", "/etc/real-chats.yaml")
    (tmp_path / "ddcolor-obs.toml").write_text('notifier = "real-chats.yaml"\n')

    assert run_demo("--lang", "en").exit_code == 0
    (config,) = run_demo.configs
    assert config.notifier is None
    assert config.language == "en"


@pytest.mark.parametrize(
    ("lacking", "options", "embedded"),
    [([], [], False), ([], ["--embedded"], True), (["JDK >= 21"], [], True)],
)
def test_it_runs_embedded_where_the_whole_stack_cannot_run(
    run_demo: _Runner,
    monkeypatch: pytest.MonkeyPatch,
    lacking: list[str],
    options: list[str],
    embedded: bool,
) -> None:
    """A machine without JDK, Maven or Go has its demo too; elsewhere it is for the asking."""
    monkeypatch.setattr(cli, "missing", lambda _: lacking)

    assert run_demo(*options).exit_code == 0
    (config,) = run_demo.configs
    assert config.embedded is embedded


def test_an_unknown_language_is_wrong_usage(run_demo: _Runner) -> None:
    """The languages are zh and en."""
    assert run_demo("--lang", "fr").exit_code == 2


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo begins with an empty folder and does not empty one it did not make."""
    monkeypatch.setattr(cli, "ensure_toolchain", lambda **_: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    result = CliRunner().invoke(cli.demo, ["--state", str(tmp_path / "mine")])

    assert result.exit_code == 1
    assert "holds data that no demo made" in result.output
    assert (tmp_path / "mine" / "file").exists()
