"""How Elasticsearch is started as a child process, as root or not."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

from ddcolor_operations.stack.launch import LaunchSpec
from ddcolor_operations.toolchain.elasticsearch import ElasticsearchHome

_NOBODY = 65534
_CAP_DAC_READ_SEARCH = 2  # linux/capability.h
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
    65534, since Elasticsearch refuses root. It is called before each start and overwrites only
    what it writes itself; data stays.
    """
    uid = _NOBODY if os.geteuid() == 0 else None
    temporary = data_dir / "tmp"
    folders = (config_dir, data_dir, logs_dir)
    _write_config(home, config_dir, data_dir, logs_dir, port, transport_port, heap)
    # What a killed JVM leaves there (native libraries) is of no use to the next one.
    shutil.rmtree(temporary, ignore_errors=True)
    for folder in (data_dir / "node", data_dir / "snapshots", temporary, logs_dir):
        folder.mkdir(parents=True, exist_ok=True)
    keep_capabilities: tuple[str, ...] = ()
    if uid is not None:
        for folder in folders:
            _give(folder, uid)
        keep_capabilities = _capabilities_to_reach((home.home, home.java, *folders))
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
        capabilities=keep_capabilities,
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


def _capabilities_to_reach(paths: Iterable[Path]) -> tuple[str, ...]:
    """Return the capability that lets another user traverse to ``paths``, or () if none is needed.

    The folders of a checkout or cache in root's home cannot be entered by another user (mode
    0700). The right to traverse and read, and nothing else of root's, is then kept for the server,
    rather than changing the mode of a home folder or hiding the data elsewhere.
    """
    closed = [closed for path in paths for closed in _closed_parents(path)]
    if not closed:
        return ()
    if not _may_hand_on(_CAP_DAC_READ_SEARCH):
        raise ElasticsearchLaunchError(
            f"{closed[0]} cannot be entered by user {_NOBODY}, as which Elasticsearch runs because"
            " it refuses root. Run it as a normal user, or put state and cache elsewhere"
            " (--state DIR, DDCOLOR_OBS_CACHE=DIR), or: chmod o+x " + str(closed[0])
        )
    return ("dac_read_search",)


def _closed_parents(path: Path) -> list[Path]:
    """Return the folders above ``path`` that others may not enter."""
    return [parent for parent in path.resolve().parents if not parent.stat().st_mode & 0o001]


def _may_hand_on(capability: int) -> bool:
    """Say whether this process may hand the capability on (it is in Linux's bounding set)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False
