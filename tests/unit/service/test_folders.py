"""From a stranger's name to a path, or to a refusal."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddcolor_service.folders import Folders, UnsafeNameError, read_regular, store_upload


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Return folders that no test writes to."""
    return Folders.create(tmp_path_factory.mktemp("folders"))


@given(name=st.text(max_size=300), subfolder=st.text(alphabet="./\\ab\x00é", max_size=20))
def test_no_name_leaves_its_folder(folders: Folders, name: str, subfolder: str) -> None:
    """Whatever the name is, the path lies in the folder or the name is refused."""
    try:
        path = folders.resolve(name, "input", subfolder)
    except UnsafeNameError:
        return
    assert path.resolve().is_relative_to(folders.base("input"))
    assert path != folders.base("input")


@pytest.mark.parametrize(
    ("name", "kind", "relative"),
    [
        ("a.png", "input", "a.png"),
        ("a.png [output]", "output", "a.png"),
        ("b/c/a.png[temp]", "temp", "b/c/a.png"),
        ("a [1].png", "input", "a [1].png"),
    ],
)
def test_annotated_names(folders: Folders, name: str, kind: str, relative: str) -> None:
    """ComfyUI's annotations say which folder a name belongs to."""
    path, found = folders.locate(name)
    assert found == kind
    assert path == folders.root / kind / relative


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "nul\x00.png", "line\n.png", "x" * 300, "\ud800"]
)
def test_unsafe_names(folders: Folders, name: str) -> None:
    """Names that no file should have are refused."""
    with pytest.raises(UnsafeNameError):
        folders.resolve(name)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """Links, folders, pipes and files over the limit are not read."""
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    assert read_regular(tmp_path / "file", 5) == b"12345"
    for name in ("link", "pipe", "nosuch", "."):
        with pytest.raises(FileNotFoundError):
            read_regular(tmp_path / name, 100)
    with pytest.raises(ValueError, match="larger"):
        read_regular(tmp_path / "file", 4)


def test_uploads_leave_no_parts(tmp_path: Path) -> None:
    """After uploads only whole files lie in the folder."""
    for data in (b"one", b"two", b"two"):
        store_upload(data, tmp_path / "a.png", overwrite=False)
    store_upload(b"three", tmp_path / "a.png", overwrite=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
        "a.png": b"three",
        "a (1).png": b"two",
    }


def test_retention(tmp_path: Path) -> None:
    """Old pictures go, new ones stay, and the temp folder is emptied at the start."""
    folders = Folders.create(tmp_path)
    old, new = folders.base("output") / "old.png", folders.base("output") / "new.png"
    for path in (old, new, folders.base("temp") / "t.png"):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    assert folders.remove_older_than(1.0) == 1
    folders.clear_temp()
    assert [p.name for p in tmp_path.rglob("*.png")] == ["new.png"]


def test_retention_of_subfolders(tmp_path: Path) -> None:
    """Subfolders that have long been empty go, one level a time; others stay."""
    folders = Folders.create(tmp_path / "state")
    base, long_ago = folders.base("output"), time.time() - 7200
    (base / "old" / "inner").mkdir(parents=True)
    (base / "new").mkdir()
    (base / "full").mkdir()
    (base / "full" / "kept.png").write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (base / "link").symlink_to(tmp_path / "elsewhere")
    for path in (base / "old" / "inner", base / "old", base / "full", tmp_path / "elsewhere", base):
        os.utime(path, (long_ago, long_ago))
    folders.remove_older_than(1.0)
    left = {p.relative_to(base).as_posix() for p in base.rglob("*")}
    assert left == {"old", "new", "full", "full/kept.png", "link"}
    os.utime(base / "old", (long_ago, long_ago))
    folders.remove_older_than(1.0)
    assert not (base / "old").exists()
    assert (tmp_path / "elsewhere").is_dir()


def test_a_folder_that_vanishes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is written although the retention removes its empty folder at that very moment."""
    plain = Path.open
    vanished: list[Path] = []

    def vanish_once(self: Path, *arguments: Any, **options: Any) -> Any:
        if not vanished:
            vanished.append(self)
            self.parent.rmdir()
        return plain(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", vanish_once)
    stored = store_upload(b"data", tmp_path / "sub" / "a.png", overwrite=False)
    assert (len(vanished), stored.read_bytes()) == (1, b"data")
