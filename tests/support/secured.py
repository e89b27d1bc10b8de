"""A real Elasticsearch as the container stack's: security on, and https."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ddcolor_operations.elastic.server import prepare
from ddcolor_operations.stack.launch import LaunchSpec
from ddcolor_operations.toolchain import elasticsearch

from .compose import ROOT, load
from .elastic import Process, free_ports


class SecuredElasticsearch:
    """Elasticsearch on free ports, whose user ``elastic`` has the given password.

    ``certificates`` is a folder that ``ensure_certificates`` has filled. ``settings`` are its
    settings in place of those of docker-compose.yml and compose/tls.yml.
    """

    def __init__(
        self,
        folder: Path,
        password: str,
        certificates: Path,
        settings: Mapping[str, str] | None = None,
        transport: int | None = None,
    ) -> None:
        self.port, free = free_ports(2)
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
                transport or free,
            )
            _set(config / "elasticsearch.yml", settings or container_settings("elasticsearch"))
            _write_keystore(home, config, password)
            (config / "tls").mkdir(exist_ok=True)
            shutil.copy(certificates / "ca.crt", config / "tls" / "ca.crt")
            for kind in ("crt", "key"):
                shutil.copy(
                    certificates / f"elasticsearch.{kind}", config / "tls" / f"server.{kind}"
                )
            if spec.uid is not None:
                for path in (config / "elasticsearch.keystore", *(config / "tls").iterdir()):
                    shutil.chown(path, spec.uid, spec.uid)
            return spec

        self.process = Process(launch, folder / "elasticsearch.out")


def container_settings(node: str, *overlays: str) -> dict[str, str]:
    """Return the settings that a node has by docker-compose.yml, TLS and further overlays."""
    settings: dict[str, str] = {}
    for file in ("docker-compose.yml", "compose/tls.yml", *overlays):
        service = load(ROOT / file)["services"].get(node, {})
        settings |= service.get("environment", {})
    return {
        name: value
        for name, value in settings.items()
        if name.startswith(("cluster.", "discovery.", "node.", "xpack.security."))
    }


def _set(file: Path, settings: Mapping[str, str]) -> None:
    """Put ``settings`` into elasticsearch.yml in place of those of the same names."""
    text = file.read_text(encoding="utf-8")
    for name, value in settings.items():
        text = re.sub(rf"(?m)^{re.escape(name)}:.*\n", "", text) + f"{name}: {value}\n"
    file.write_text(text, encoding="utf-8")


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
