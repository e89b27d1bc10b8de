"""The supervisor process: ``python -m ddcolor_operations.stack STATE``."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from comfyui_telemetry import Telemetry, __version__, configure
from ddcolor_operations.elastic.server import ElasticsearchLaunchError
from ddcolor_operations.toolchain.errors import ToolchainError

from .config import StackConfig
from .control import status_file
from .parts import build_parts
from .supervisor import Supervisor


def main(state: Path) -> int:
    """Run the stack whose settings lie in ``state``; return the exit code."""
    config = StackConfig.load(state)
    # It logs every request; ours are the set-up's, which says itself what it changed.
    logging.getLogger("elastic_transport").setLevel(logging.WARNING)
    telemetry = configure(
        service_name="ddcolor-stack",
        service_version=__version__,
        log_file=config.log_dir / "stack.jsonl",
        log_stdout=False,
        traces=False,
        metrics=False,
        role="part",
    )
    try:
        return asyncio.run(_run(config, telemetry))
    except (ToolchainError, ElasticsearchLaunchError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        telemetry.shutdown()


async def _run(config: StackConfig, telemetry: Telemetry) -> int:
    supervisor = Supervisor(
        build_parts(config),
        log_dir=config.log_dir,
        status_file=status_file(config.state),
        telemetry=telemetry,
    )
    await supervisor.run()
    return 1 if supervisor.status.problem else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
