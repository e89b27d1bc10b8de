"""The folders of pictures: input, output, temp; and the only way from a name to a path.

Names come from strangers, so every path is resolved (symbolic links included) and must still lie
in its folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast, get_args

from ddcolor_service.errors import RequestRefusedError

FolderType = Literal["input", "output", "temp"]
MAX_NAME_BYTES = 200  # leaves room for " (123)" under the 255 of common file systems
_TRIES = 3
_ANNOTATION = re.compile(r" ?\[(input|output|temp)\]$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells one state of a file from the next without reading it."""

    inode: int
    size: int
    modified_ns: int


class UnsafeNameError(RequestRefusedError):
    """The name leaves its folder or cannot be a file's name."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Input, output and temp below one root."""

    root: Path

    @classmethod
    def create(cls, root: Path) -> Folders:
        """Make the folders, readable by nobody else, and return them."""
        folders = cls(root.resolve())
        for kind in get_args(FolderType):
            folders.base(kind).mkdir(parents=True, exist_ok=True, mode=0o750)
        return folders

    def base(self, kind: FolderType) -> Path:
        """Return the folder of ``kind``."""
        return self.root / kind

    def resolve(self, name: str, kind: FolderType = "input", subfolder: str = "") -> Path:
        """Return the path of ``name`` in ``subfolder`` of the folder ``kind``.

        The file need not exist. Raises :class:`UnsafeNameError` for a name that would leave the
        folder, also through a symbolic link.
        """
        base = self.base(kind)
        relative = Path(subfolder) / name
        _check_parts(name, subfolder)
        path = base / relative
        if not path.resolve().is_relative_to(base):
            raise UnsafeNameError("The name leads out of its folder")
        return path

    def locate(self, annotated: str) -> tuple[Path, FolderType]:
        """Return the path of a ComfyUI name such as ``a/b.png [output]``, by default an input."""
        match = _ANNOTATION.search(annotated)
        kind = cast("FolderType", match.group(1)) if match else "input"
        name = annotated[: match.start()] if match else annotated
        subfolder, _, last = name.rpartition("/")
        return self.resolve(last, kind, subfolder), kind

    def names(self, kind: FolderType = "input") -> list[str]:
        """Return the names of the files directly in the folder, sorted."""
        with os.scandir(self.base(kind)) as entries:
            return sorted(
                e.name
                for e in entries
                if e.is_file(follow_symlinks=False) and not e.name.startswith(".")
            )

    def clear_temp(self) -> None:
        """Remove what earlier runs left in the temp folder."""
        for path in self._files("temp"):
            path.unlink(missing_ok=True)

    def remove_older_than(self, hours: float) -> int:
        """Remove files older than ``hours`` from all folders; return how many.

        A subfolder goes once it has been empty for as long.
        """
        limit = time.time() - hours * 3600
        removed = 0
        for kind in get_args(FolderType):
            for path in self._files(kind):
                try:
                    if path.lstat().st_mtime < limit:
                        path.unlink()
                        removed += 1
                except FileNotFoundError:  # another request was faster
                    continue
            self._remove_empty(kind, limit)
        return removed

    def _remove_empty(self, kind: FolderType, limit: float) -> None:
        """Remove subfolders without anything in them that last changed before ``limit``."""
        for name, _, _ in os.walk(self.base(kind), topdown=False):
            folder = Path(name)
            with contextlib.suppress(OSError):  # gone, or something was put into it meanwhile
                if folder != self.base(kind) and folder.stat().st_mtime < limit:
                    folder.rmdir()

    def _files(self, kind: FolderType) -> Iterator[Path]:
        for folder, _, names in os.walk(self.base(kind)):
            for name in names:
                yield Path(folder) / name


def folder_type(value: str) -> FolderType:
    """Return ``value`` as a folder's type, or refuse it."""
    if value not in get_args(FolderType):
        raise UnsafeNameError("The type must be input, output or temp")
    return cast("FolderType", value)


def _check_parts(name: str, subfolder: str) -> None:
    if not name or name in (".", "..") or "/" in name or "\\" in name or name.startswith("."):
        raise UnsafeNameError("The file name is empty, hidden or holds a path separator")
    whole = f"{subfolder}/{name}"
    if _CONTROL.search(whole) or "\\" in subfolder:
        raise UnsafeNameError("The file name holds a control character or a backslash")
    if subfolder.startswith("/") or ".." in subfolder.split("/"):
        raise UnsafeNameError("The subfolder leads out of its folder")
    try:
        parts = [part.encode() for part in whole.split("/")]
    except UnicodeEncodeError:
        raise UnsafeNameError("The file name is not valid Unicode") from None
    if any(len(part) > MAX_NAME_BYTES for part in parts) or len(parts) > 8:
        raise UnsafeNameError("The file name is too long or lies too deep")


def file_state(path: Path) -> FileState | None:
    """Return the state of a file, None when there is none that can be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return FileState(status.st_ino, status.st_size, status.st_mtime_ns)


def read_regular(path: Path, limit: int) -> bytes:
    """Read a regular file of at most ``limit`` bytes without following a link at its end.

    Raises ``FileNotFoundError`` when it is absent, a link or no regular file, and ``ValueError``
    when it is larger.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise FileNotFoundError("there is no such file") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError("there is no such file")
        if status.st_size > limit:
            raise ValueError("the file is larger than allowed")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def store_upload(data: bytes, wanted: Path, *, overwrite: bool) -> Path:
    """Write an upload whole or not at all; return its path.

    As in ComfyUI, the same bytes under the same name are the same file, and other bytes become
    ``name (1).png``.
    """
    partial = write_partial(wanted.parent, data, lasting=True)
    try:
        if overwrite:
            partial.replace(wanted)
            return wanted
        path, count = wanted, 0
        while True:
            try:
                # link() fails when the name is taken: no window between the check and the write
                path.hardlink_to(partial)
            except FileExistsError:
                if _same(path, data):
                    os.utime(path)  # used again: the retention starts anew
                    return path
                count += 1
                path = wanted.with_name(f"{wanted.stem} ({count}){wanted.suffix}")
            else:
                return path
    finally:
        partial.unlink(missing_ok=True)


def write_partial(folder: Path, data: bytes, *, lasting: bool = False) -> Path:
    """Write a hidden file into ``folder``, making that if need be; return its path.

    With ``lasting`` the data are on the disk itself when this returns. What was half written when
    an error came is removed.
    """
    partial = folder / f".{uuid.uuid4().hex}.part"
    try:
        with _open_new(partial) as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return partial


def _open_new(path: Path) -> BinaryIO:
    """Open a new file for writing in a folder that may not be there yet."""
    for _ in range(_TRIES):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        # The retention may have found the folder empty and removed it just now.
        with contextlib.suppress(FileNotFoundError):
            return path.open("xb")
    raise FileNotFoundError("the folder of a new file vanishes again and again")


def _same(path: Path, data: bytes) -> bool:
    try:
        return read_regular(path, len(data)) == data
    except (FileNotFoundError, ValueError):
        return False
