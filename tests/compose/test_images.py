"""The Dockerfiles: small, of ordinary users, cached, and whole."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.compose import ROOT, load, mounts

FOLDER = ROOT / "compose"
DOCKERFILES = sorted(path for path in FOLDER.glob("*Dockerfile"))
SERVICES = load()["services"]


def instructions(file: Path) -> list[tuple[str, str]]:
    """Return instruction and arguments, with continued lines joined and comments left out."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (name, rest)
        for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)
    ]


def stages(file: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the instructions of each stage by its name; the last may have none."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, rest in instructions(file):
        if name == "FROM":
            image, _, stage = rest.partition(" AS ")
            found[stage or "last"] = [(name, image)]
        elif found:
            found[list(found)[-1]].append((name, rest))
    return found


def lineage(file: Path, stage: str) -> list[tuple[str, str]]:
    """Return the instructions of a stage after those of the stages that it begins with."""
    own = stages(file)
    first = own[stage][0][1]
    return [*(lineage(file, first) if first in own else []), *own[stage]]


FINAL = [
    *((FOLDER / "Dockerfile", target) for target in ("operations", "service", "service-gpu")),
    *((FOLDER / "comfyui.Dockerfile", target) for target in ("comfyui", "comfyui-gpu")),
    (FOLDER / "collector.Dockerfile", "last"),
]
BUILT = [(file, stage) for file, stage in FINAL if stage != "last"]
WITH_LISTS = [file for file in DOCKERFILES if file.name != "collector.Dockerfile"]


def select(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the images' selection from the lock."""
    return subprocess.run(
        [sys.executable, str(FOLDER / "select_lock.py"), *arguments],
        cwd=ROOT / "locks",
        capture_output=True,
        text=True,
        check=False,
    )


def names(text: str) -> set[str]:
    """Return the packages of a requirements file."""
    return {canonicalize_name(name) for name in re.findall(r"(?m)^([A-Za-z0-9._-]+)==", text)}


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_base_images_have_versions(file: Path) -> None:
    """No stage begins with an image without a version, or with `latest`."""
    own = stages(file)
    arguments = dict(rest.split("=", 1) for name, rest in instructions(file) if name == "ARG")
    for stage in own.values():
        image = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], stage[0][1])
        assert image in own or re.fullmatch(r"[\w./-]+:\d[\w.-]+", image), image


@pytest.mark.parametrize(("file", "stage"), FINAL, ids=[stage for _, stage in FINAL])
def test_image_ends_as_an_ordinary_user(file: Path, stage: str) -> None:
    """The last USER of each image is 1000, in the group that may write."""
    users = [rest for name, rest in lineage(file, stage) if name == "USER"]
    assert users[-1] == "1000:0"


@pytest.mark.parametrize(("file", "stage"), BUILT, ids=[stage for _, stage in BUILT])
def test_code_is_the_last_layer(file: Path, stage: str) -> None:
    """Libraries come before our code, so that a change of it leaves their layer as it is."""
    copies = [rest for name, rest in lineage(file, stage) if name == "COPY"]
    assert copies[-2:] == [f"--from={stage}-libraries /opt/venv /opt/venv", "--from=code /app /app"]


def test_nothing_is_fetched_by_add_or_pipe() -> None:
    """No ADD but of a commit, no download that a shell runs, no package without a version."""
    for file in DOCKERFILES:
        for name, rest in instructions(file):
            # A commit's name is made from what it holds.
            assert name != "ADD" or re.fullmatch(r"https://\S+\.git#[0-9a-f]{40} \S+", rest)
            assert not re.search(r"\b(curl|wget) |\| *(ba)?sh", rest), rest
            for install in re.findall(r"pip install ([^&]*)", rest):
                assert "--no-deps" in install
                assert (
                    "--require-hashes" in install or "--index-url" in install or "/app ." in install
                )


@pytest.mark.parametrize("file", WITH_LISTS, ids=lambda file: file.name)
def test_builder_gets_what_is_copied_and_nothing_else(file: Path) -> None:
    """The list for the builder is one of what may go; each of it is there and is copied."""
    lines = file.with_name(f"{file.name}.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert {path for path in allowed if not (ROOT / path).exists()} == set()
    copied = {
        source
        for name, rest in instructions(file)
        if name == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    }
    # A folder of a folder that goes, goes too.
    assert {path for path in copied if not {path, path.split("/")[0]} & allowed} == set()
    assert allowed <= copied


def test_volumes_begin_with_folders_that_the_user_may_write_to() -> None:
    """Where a volume is written to, an image that mounts it has the folder for group 0."""
    made = {
        name: " ".join(rest for _, rest in lineage(ROOT / service["build"]["dockerfile"], "base"))
        for name, service in SERVICES.items()
        if service.get("build", {}).get("target")
    }
    collector = " ".join(rest for _, rest in instructions(FOLDER / "collector.Dockerfile"))
    made |= {"agent": collector, "gateway": collector}
    written = {
        (name, mount.target)
        for name, service in SERVICES.items()
        for mount in mounts(service)
        # Elastic's images bring their own; ElastAlert2 starts after others made the log folder.
        if mount.volume and not mount.read_only
        if name not in {"elasticsearch", "kibana", "elastalert2"}
    }
    missing = {(n, t) for n, t in written if t not in made[n].replace("/extras", " ").split()}
    assert missing == set()


def test_operations_image_has_the_libraries_of_its_extra_and_no_other() -> None:
    """What is taken from the lock is what operations and the channel Apprise need, and no more."""
    command = next(
        rest
        for _, rest in stages(FOLDER / "Dockerfile")["operations-libraries"]
        if "select" in rest
    )
    patterns = re.search(r"--without (.*?) >", command)
    assert patterns
    without = [pattern.strip("'") for pattern in patterns[1].split()]
    chosen = select("runtime.txt", "--without", *without)
    assert chosen.returncode == 0, chosen.stderr
    needed = _closure("ddcolor-observability", {"operations", "apprise", ""})
    locked = names((ROOT / "locks/runtime.txt").read_text())
    assert names(chosen.stdout) == needed & locked
    assert needed - locked == set()


def test_selection_keeps_hashes_and_refuses_a_misspelt_name() -> None:
    """Each entry comes with its hashes; a pattern without an entry is an error."""
    chosen = select("runtime.txt", "--only", "click", "opentelemetry-*")
    assert chosen.stdout.count("==") == len(names(chosen.stdout)) > 1
    for entry in re.split(r"(?m)^(?=\w)", chosen.stdout)[1:]:
        assert "--hash=sha256:" in entry
    assert select("runtime.txt", "--only", "click", "--pins").stdout.startswith("click==")
    refused = select("runtime.txt", "--without", "torhc")
    assert refused.returncode == 1
    assert "torhc" in refused.stderr


def _closure(name: str, extras: set[str]) -> set[str]:
    """Return the packages that ``name`` needs with these extras, as installed here."""
    found: set[str] = set()
    waiting = [(name, frozenset(extras))]
    seen = set()
    while waiting:
        item = waiting.pop()
        if item in seen:
            continue
        seen.add(item)
        try:
            requires = distribution(item[0]).requires or []
        except PackageNotFoundError:
            continue
        for text in requires:
            need = Requirement(text)
            wanted = need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in item[1] | {""}
            )
            if wanted:
                found.add(canonicalize_name(need.name))
                waiting.append((need.name, frozenset(need.extras)))
    return found
