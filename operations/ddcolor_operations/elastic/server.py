"""How Elasticsearch is started as a child process, as root or not."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import socket
from pathlib import Path

from ddcolor_operations.stack.launch import LaunchSpec
from ddcolor_operations.toolchain.elasticsearch import ElasticsearchHome

log = logging.getLogger(__name__)

_NOBODY = 65534
_INSTEAD = Path("/var/lib/ddcolor-observability")
_LAUNCHER = "org.elasticsearch.server.launcher.ServerLauncher"

_CONFIG = """\
cluster.name: ddcolor
node.name: ddcolor
path.data: {data}
path.repo: {snapshots}
path.logs: {logs}
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport_port}
discovery.type: single-node
# A development disk is often nearly full; a read-only index would stop the pipeline for no need.
cluster.routing.allocation.disk.threshold_enabled: false
# ElastAlert's indices must come from its own mapping: one made by its first write is useless.
action.auto_create_index: "-elastalert*,+*"
# Nothing but this machine can reach it; `network.host` above must not change while this is off.
xpack.security.enabled: false
"""

_JVM_OPTIONS = """\
-Xms{heap}
-Xmx{heap}
# The fast compiler alone: half the CPU time until ready, which is most of a stack's start.
-XX:TieredStopAtLevel=1
# Instead of 2 GB of GC logs and a heap dump beside the data.
-Xlog:disable
-Xlog:all=warning:stderr:utctime,level,tags
-XX:-HeapDumpOnOutOfMemoryError
-XX:ErrorFile={logs}/hs_err_pid%p.log
"""


class ElasticsearchLaunchError(Exception):
    """Elasticsearch cannot be started from the given folders: what, where, what to do."""


def prepare(
    home: ElasticsearchHome,
    config_dir: Path,
    data_dir: Path,
    logs_dir: Path,
    port: int,
    transport_port: int,
    heap: str = "512m",
) -> LaunchSpec:
    """Write the configuration, hand the folders to the server's user, return how to start it.

    ``heap`` is in the JVM's notation (``512m``, ``2g``). Called by root, the server runs as user
    65534, since Elasticsearch refuses root; folders that this user cannot reach are replaced by
    ones below /var/lib, with a warning. It can be called again: it overwrites only what it writes
    itself, data stays. Raises ElasticsearchLaunchError.
    """
    uid = _NOBODY if os.geteuid() == 0 else None
    if uid is not None:
        _check_programs(home)
        config_dir, data_dir, logs_dir = map(_reachable, (config_dir, data_dir, logs_dir))
    temporary = data_dir / "tmp"
    _write_config(home, config_dir, data_dir, logs_dir, port, transport_port, heap)
    # What a killed JVM leaves there (native libraries) is of no use to the next one.
    shutil.rmtree(temporary, ignore_errors=True)
    for folder in (data_dir / "node", data_dir / "snapshots", temporary, logs_dir):
        folder.mkdir(parents=True, exist_ok=True)
    if uid is not None:
        for folder in (config_dir, data_dir, logs_dir):
            _give(folder, uid)
    return LaunchSpec(
        argv=(
            str(home.java),
            "-Xms16m",
            "-Xmx64m",
            "-XX:+UseSerialGC",
            "-cp",
            f"{home.home}/lib/tools/server-launcher/*",
            _LAUNCHER,
        ),
        env={
            "ES_HOME": str(home.home),
            "ES_PATH_CONF": str(config_dir),
            "ES_DISTRIBUTION_TYPE": "tar",
            "ES_TMPDIR": str(temporary),
            "JAVA": str(home.java),
            "JAVA_TYPE": "ES_JAVA_HOME",
            "HOSTNAME": socket.gethostname(),
            # Java takes file names of the C locale for ASCII only.
            "LC_ALL": "C.UTF-8",
        },
        clear_env=True,
        uid=uid,
        gid=uid,
        cwd=home.home,  # where the launcher looks for modules/apm
    )


def _check_programs(home: ElasticsearchHome) -> None:
    for program in (home.home, home.java):
        closed = _closed_parent(program)
        if closed is not None:
            raise ElasticsearchLaunchError(
                f"{program} cannot be used: {closed} cannot be entered by user {_NOBODY}, as which"
                " Elasticsearch runs because it refuses root. Set DDCOLOR_OBS_CACHE (for"
                " Elasticsearch) or ES_JAVA_HOME (for Java) to a folder that all may enter, or run"
                " this as a normal user."
            )


def _write_config(
    home: ElasticsearchHome,
    config_dir: Path,
    data_dir: Path,
    logs_dir: Path,
    port: int,
    transport_port: int,
    heap: str,
) -> None:
    options = config_dir / "jvm.options.d"
    options.mkdir(parents=True, exist_ok=True)
    for name in ("log4j2.properties", "jvm.options"):
        shutil.copyfile(home.home / "config" / name, config_dir / name)
    (options / "ddcolor.options").write_text(_JVM_OPTIONS.format(heap=heap, logs=logs_dir))
    (config_dir / "elasticsearch.yml").write_text(
        _CONFIG.format(
            data=_quoted(data_dir / "node"),
            snapshots=_quoted(data_dir / "snapshots"),
            logs=_quoted(logs_dir),
            port=port,
            transport_port=transport_port,
        ),
        encoding="utf-8",
    )


def _quoted(path: Path) -> str:
    """Return ``path`` as a YAML scalar, whatever its characters are."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _give(folder: Path, uid: int) -> None:
    """Make ``uid`` the owner of ``folder`` and of what is in it, where it is not yet."""
    for path in (folder, *folder.rglob("*")):
        if path.lstat().st_uid != uid:
            os.chown(path, uid, uid, follow_symlinks=False)


def _reachable(folder: Path) -> Path:
    """Return ``folder``, or one below /var/lib in its stead if the server's user cannot enter it.

    A checkout in root's home (mode 0700) is the usual case. Its modes are root's own business, and
    a capability does not help: Java asks with access(2), which goes by the real user alone.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    closed = _closed_parent(folder)
    if closed is None:
        return folder
    _INSTEAD.mkdir(mode=0o755, parents=True, exist_ok=True)
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    instead = _INSTEAD / f"{folder.name}-{digest}"
    log.warning(
        "Elasticsearch runs as user %d, which cannot enter %s: %s is used instead of %s.",
        _NOBODY,
        closed,
        instead,
        folder,
    )
    return instead


def _closed_parent(path: Path) -> Path | None:
    """Return the topmost folder above ``path`` that others may not enter, if there is one."""
    for parent in reversed(path.resolve().parents):
        if not parent.stat().st_mode & 0o001:
            return parent
    return None
