"""Every command that the guides name exists, takes these options, and is run by a test."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from ddcolor_operations.cli import cli

ROOT = Path(__file__).parents[3]
GUIDES = [
    *(ROOT / name for name in ("README.md", "README.zh.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
# What the checks below look at.
OWN = {"ddcolor-obs", "ddcolor-service", "make", "docker", "python", "python3", "curl"}
# Lines that prepare or stand for what is the reader's own.
PLAIN = {
    *("cat", "cd", "cp", "git", "install", "kill", "mkdir", "mv", "openssl", "sudo", "umask"),
    *("path/to/comfyui/python", "crontab", "pass", "touch"),
}
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")


@dataclass(frozen=True)
class Line:
    """One command of a guide, with the comment behind it."""

    guide: str
    number: int
    words: tuple[str, ...]
    comment: str

    def __str__(self) -> str:
        return f"{self.guide}:{self.number}: {' '.join(self.words)}"


def blocks(guide: Path) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Yield language and numbered lines of each block in a shell's language, or in none."""
    block: list[tuple[int, str]] | None = None
    language = ""
    for number, line in enumerate(guide.read_text(encoding="utf-8").splitlines(), 1):
        if not line.lstrip().startswith("```"):
            if block is not None:
                block.append((number, line.strip()))
        elif block is None:
            language, block = line.strip().removeprefix("```"), []
        else:
            if language in ("", "sh", "bash"):
                yield language, block
            block = None


def commands(guide: Path) -> Iterator[Line]:
    """Yield the commands of a guide's blocks; a block without a language may be a drawing."""
    for language, block in blocks(guide):
        waiting, here, begun = "", "", 0
        for number, raw in block:
            begun = begun if waiting else number
            waiting += raw
            if waiting.endswith("\\"):
                waiting = waiting[:-1]
                continue
            if here:  # the text that a file gets
                here = "" if raw == here else here
                waiting = ""
                continue
            code, _, comment = re.sub(r"\s+#\s", "\0", waiting, count=1).partition("\0")
            if code.count("'") % 2:
                waiting += " "
                continue
            waiting = ""
            # What a cron table begins with, and what other commands put in.
            code = re.sub(r"\$\([^)]*\)", "…", code.removeprefix("* * * * * "))
            here = next(iter(re.findall(r"<<-?\s*'?(\w+)", code)), "")
            for part in re.split(r"&&|;(?=\s)|\|(?=\s)", code):
                words = _words(part.partition("<<")[0])
                while words and _ASSIGNMENT.match(words[0]):
                    words = words[1:]
                if (
                    words
                    and words[0][0] != "#"
                    and (language or words[0].removeprefix(".venv/bin/") in OWN)
                ):
                    yield Line(guide.name, begun, words, comment)


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return ()


ALL = [line for guide in GUIDES for line in commands(guide)]


def of(*programs: str) -> list[Line]:
    """Return the lines that run one of these programs."""
    return [line for line in ALL if line.words[0].removeprefix(".venv/bin/") in programs]


def find(words: tuple[str, ...]) -> tuple[click.Command, list[str], list[str]]:
    """Return the command that these words name, its path, and the words left for it."""
    command: click.Command = cli
    context, rest = click.Context(cli), list(words)
    path: list[str] = []
    while isinstance(command, click.Group):
        found = command.get_command(context, rest[0]) if rest else None
        if found is None:
            raise AssertionError(f"there is no command {' '.join([*path, *rest[:1]])!r}")
        path.append(rest.pop(0))
        command, context = found, click.Context(found, parent=context)
    return command, path, rest


OURS = of("ddcolor-obs")


def test_there_are_commands_to_check() -> None:
    """The guides' blocks are found: none of the checks below runs over an empty list."""
    assert len(OURS) > 30
    assert {line.words[0] for line in ALL} >= {"make", "docker", "curl", "ddcolor-obs"}


@pytest.mark.parametrize("line", OURS, ids=str)
def test_our_command_takes_these_options(line: Line) -> None:
    """The command exists, has each option, and gets every argument that it needs."""
    command, _, rest = find(line.words[1:])
    context = click.Context(command)
    given, _, _ = command.make_parser(context).parse_args(rest)
    missing = [
        parameter.human_readable_name
        for parameter in command.params
        if parameter.required and given.get(parameter.name or "") in (None, ())
        if not parameter.envvar
    ]
    assert missing == []


TESTS = {
    path: path.read_text(encoding="utf-8")
    for path in (ROOT / "tests").rglob("*.py")
    if path != Path(__file__)
}


@pytest.mark.parametrize("path", sorted({tuple(find(line.words[1:])[1]) for line in OURS}), ids=str)
def test_our_command_is_run_by_a_test(path: tuple[str, ...]) -> None:
    """Some test runs the command, in process or as one."""
    *groups, leaf = path
    runs = re.compile(r"CliRunner|subprocess|Popen|\brun\(|obs\(|invoke")
    assert any(
        f'"{leaf}"' in text and runs.search(text) and all(group in text for group in groups)
        for text in TESTS.values()
    ), f"no test runs ddcolor-obs {' '.join(path)}"


@pytest.mark.parametrize("line", of("docker"), ids=str)
def test_what_needs_an_engine_says_so(line: Line) -> None:
    """A command that no test can run without a container engine is marked."""
    assert "(engine)" in line.comment


@pytest.mark.parametrize("line", of("make"), ids=str)
def test_make_has_the_target(line: Line) -> None:
    """Each target that a guide names is in the Makefile."""
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert {word for word in line.words[1:] if "=" not in word} <= set(targets)


@pytest.mark.parametrize("line", of("python", "python3"), ids=str)
def test_python_finds_what_it_is_to_run(line: Line) -> None:
    """A module can be imported, a file is there."""
    _, first, *rest = line.words
    if first == "-m":
        spec = None if rest[0] == "pip" else importlib.util.find_spec(rest[0])
        assert spec is not None or rest[0] == "pip"
    else:
        assert (ROOT / first).is_file() or first == "main.py"  # ComfyUI's own


@pytest.mark.parametrize("line", of("curl"), ids=str)
def test_addresses_are_routes(line: Line) -> None:
    """What curl asks of the service or the notifier is one of their routes."""
    (address,) = [word for word in line.words[1:] if re.match(r"(http://)?127\.0\.0\.1:", word)]
    port, _, path = address.partition("127.0.0.1:")[2].partition("/")
    path = "/" + path.partition("?")[0]
    guide = {"8188": "service.md", "8085": "alerts.md"}.get(port)
    assert guide, f"nothing listens on {port}"
    known = re.findall(r"(?:GET|POST) (/[\w/{}-]*)", (ROOT / "docs" / guide).read_text("utf-8"))
    if port == "8085":
        known += ["/healthz", "/alerts"]
    patterns = [re.sub(r"\{\w+\}", "[^/]+", route) for route in known]
    assert any(re.fullmatch(pattern, path) for pattern in patterns), path


def test_every_other_line_is_the_reader_s_own() -> None:
    """No line in a shell block is of a kind that nothing here looks at."""
    looked_at = set(of(*OWN))
    odd = [str(line) for line in ALL if line not in looked_at and line.words[0] not in PLAIN]
    assert odd == []
