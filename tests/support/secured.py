"""A real Elasticsearch with security on, as the container stack's: who may not in, is not in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ddcolor_operations.elastic.server import prepare
from ddcolor_operations.stack.launch import LaunchSpec
from ddcolor_operations.toolchain import elasticsearch

from .elastic import Process, free_ports


class SecuredElasticsearch:
    """Elasticsearch on free ports, whose user ``elastic`` has the given password."""

    def __init__(self, folder: Path, password: str) -> None:
        self.port, transport = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        config = folder / "elasticsearch-config"
        home = elasticsearch.ensure(print)

        def launch() -> LaunchSpec:
            spec = prepare(
                home,
                config,
                folder / "elasticsearch-data",
                folder / "elasticsearch-logs",
                self.port,
                transport,
            )
            _switch_security_on(config / "elasticsearch.yml")
            _write_keystore(home, config, password)
            if spec.uid is not None:
                shutil.chown(config / "elasticsearch.keystore", spec.uid, spec.uid)
            return spec

        self.process = Process(launch, folder / "elasticsearch.out")


def _switch_security_on(file: Path) -> None:
    off = "xpack.security.enabled: false"
    text = file.read_text(encoding="utf-8")
    assert text.count(off) == 1
    file.write_text(text.replace(off, "xpack.security.enabled: true"), encoding="utf-8")


def _write_keystore(home: elasticsearch.ElasticsearchHome, config: Path, password: str) -> None:
    """Do what the image's entrypoint does with ELASTIC_PASSWORD_FILE."""
    (config / "elasticsearch.keystore").unlink(missing_ok=True)
    tool = [
        *(str(home.java), "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
        *("-Dcli.name=keystore", "-Dcli.libs=lib/tools/keystore-cli"),
        *(f"-Des.path.home={home.home}", f"-Des.path.conf={config}"),
        *("-cp", f"{home.home}/lib/*:{home.home}/lib/cli-launcher/*"),
        "org.elasticsearch.launcher.CliToolLauncher",
    ]
    for arguments, given in ((["create"], ""), (["add", "-x", "bootstrap.password"], password)):
        subprocess.run(
            [*tool, *arguments],
            input=given.encode(),
            check=True,
            capture_output=True,
            timeout=60,
        )
