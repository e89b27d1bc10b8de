"""The module that switches the failure store on in the trimmed Elasticsearch.

The failure store keeps what a data stream's mapping or pipeline refuses. Its code is whole in the
trimmed build, but two modules that it leans on are left out; ``failure_store/FailureStore.java``
stands in for them. Elastic's own images have both modules and never see this one.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
import zipfile
from pathlib import Path

from .commands import run_tool
from .java import MINIMUM
from .progress import Progress, timed

MODULE = "ddcolor-failure-store"

_SOURCE = Path(__file__).parent / "failure_store" / "FailureStore.java"
_PLUGIN = "ddcolor.FailureStore"
_SERVICE = "META-INF/services/org.elasticsearch.features.FeatureSpecification"
_DESCRIPTOR = """\
name={name}
description=Switches the failure store on where the module data-streams is missing
version={version}
elasticsearch.version={version}
java.version={java}
classname={plugin}
"""


def ensure_failure_store(home: Path, java: Path, version: str, progress: Progress) -> None:
    """See to it that the Elasticsearch in ``home`` has the module, compiled from our source.

    ``java`` is that of a JDK: the compiler beside it is used. Raises ToolchainError if there is
    none. A server that runs already gets the module at its next start.
    """
    folder = home / "modules" / MODULE
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]
    jar = f"{MODULE}-{digest}.jar"
    if (folder / jar).is_file():
        return
    with (home.parent / f"{MODULE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / jar).is_file():
            return
        with (
            timed(progress, f"Elasticsearch {version}: adding the failure store"),
            tempfile.TemporaryDirectory(dir=home.parent) as scratch,
        ):
            module = Path(scratch) / MODULE
            _build(module, jar, home, java, version)
            if folder.exists():
                shutil.rmtree(folder)
            module.rename(folder)


def _build(module: Path, jar: str, home: Path, java: Path, version: str) -> None:
    classes = module.with_name("classes")
    classes.mkdir()
    module.mkdir()
    run_tool(
        [
            *(str(java.with_name("javac")), "--release", str(MINIMUM), "-proc:none"),
            *("-cp", f"{home}/lib/*", "-d", str(classes), str(_SOURCE)),
        ],
        what="Compiling the failure store's module failed",
        what_to_do="Install a whole JDK, not only a runtime, or set ES_JAVA_HOME to one.",
    )
    with zipfile.ZipFile(module / jar, "w") as archive:
        for file in sorted(classes.rglob("*.class")):
            archive.write(file, file.relative_to(classes).as_posix())
        archive.writestr(_SERVICE, f"{_PLUGIN}$Feature\n")
    (module / "plugin-descriptor.properties").write_text(
        _DESCRIPTOR.format(name=MODULE, version=version, java=MINIMUM, plugin=_PLUGIN)
    )
    # As root, the server runs as another user.
    for path in (module, *module.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
