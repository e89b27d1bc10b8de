"""A real Elasticsearch as the container stack's: security on, and https."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ddcolor_operations.elastic.server import prepare
from ddcolor_operations.stack.launch import LaunchSpec
from ddcolor_operations.toolchain import elasticsearch

from .compose import ROOT, load
from .elastic import Process, free_ports


class SecuredElasticsearch:
    """Elasticsearch on free ports, whose user ``elastic`` has the given password.

    ``certificates`` is a folder that ``ensure_certificates`` has filled.
    """

    def __init__(self, folder: Path, password: str, certificates: Path) -> None:
        self.port, transport = free_ports(2)
        self.url = f"https://127.0.0.1:{self.port}"
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
            (config / "tls").mkdir(exist_ok=True)
            for kind in ("crt", "key"):
                shutil.copy(
                    certificates / f"elasticsearch.{kind}", config / "tls" / f"server.{kind}"
                )
            if spec.uid is not None:
                for path in (config / "elasticsearch.keystore", *(config / "tls").iterdir()):
                    shutil.chown(path, spec.uid, spec.uid)
            return spec

        self.process = Process(launch, folder / "elasticsearch.out")


def _switch_security_on(file: Path) -> None:
    """Set what docker-compose.yml and compose/tls.yml set by environment."""
    off = "xpack.security.enabled: false"
    text = file.read_text(encoding="utf-8")
    assert text.count(off) == 1
    settings = load()["services"]["elasticsearch"]["environment"]
    settings |= load(ROOT / "compose/tls.yml")["services"]["elasticsearch"]["environment"]
    on = "".join(
        f"{name}: {value}\n"
        for name, value in settings.items()
        if name.startswith("xpack.security.")
    )
    file.write_text(text.replace(off, on), encoding="utf-8")


def _write_keystore(home: elasticsearch.ElasticsearchHome, config: Path, password: str) -> None:
    """Do what the image's entrypoint does with ELASTIC_PASSWORD_FILE."""
    (config / "elasticsearch.keystore").unlink(missing_ok=True)
    subprocess.run(
        [
            *(str(home.java), "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
            *("-Dcli.name=keystore", "-Dcli.libs=lib/tools/keystore-cli"),
            *(f"-Des.path.home={home.home}", f"-Des.path.conf={config}"),
            *("-cp", f"{home.home}/lib/*:{home.home}/lib/cli-launcher/*"),
            "org.elasticsearch.launcher.CliToolLauncher",
            *("add", "--force", "--stdin", "bootstrap.password"),
        ],
        input=password.encode(),
        check=True,
        capture_output=True,
        timeout=60,
    )
