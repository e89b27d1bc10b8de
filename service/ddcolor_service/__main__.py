"""Start the service: ``python -m ddcolor_service --host 127.0.0.1 --port 8188 --state DIR``."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence

from aiohttp import web

from comfyui_telemetry import Telemetry, __version__, configure, semconv
from ddcolor_service.settings import Settings, SettingsError, load


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; return the exit status (2: a setting is wrong)."""
    try:
        settings = load(sys.argv[1:] if argv is None else argv)
    except SettingsError as error:
        print(f"ddcolor-service: {error}", file=sys.stderr)  # noqa: T201  telemetry needs settings
        return 2
    try:
        telemetry = configure(
            "ddcolor-service",
            __version__,
            settings.log_file,
            settings.log_stdout,
            time_limit_s=settings.time_limit_s,
        )
    except (OSError, ValueError) as error:
        print(f"ddcolor-service: telemetry cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        return asyncio.run(_serve(settings, telemetry))
    finally:
        telemetry.shutdown()


async def _serve(settings: Settings, telemetry: Telemetry) -> int:
    """Serve until told to stop, then drain."""
    # torch and the nodes take seconds to import: settings are checked and reported before.
    from ddcolor_service.api.app import build_app
    from ddcolor_service.service import build_service

    log = telemetry.logger("ddcolor_service")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        service = build_service(settings, telemetry)
        # No access log: it would hold addresses and file names of clients.
        runner = web.AppRunner(build_app(service), access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.port).start()
    except (OSError, ValueError) as error:
        log.critical("The service cannot start", exc_info=error)
        print(f"ddcolor-service: cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    port = runner.addresses[0][1]
    log.info(f"Ready on port {port}", event_name=semconv.EVENT_SERVICE_STARTED)
    await stop.wait()
    log.info("Stopping: the running prompt may finish, new ones are refused")
    # The server still answers meanwhile: clients fetch the picture that is just being made.
    ended = await asyncio.to_thread(service.worker.stop, settings.drain_s)
    await runner.cleanup()
    message = "Stopped" if ended else "Stopped; the running prompt was left for the next start"
    log.info(message, event_name=semconv.EVENT_SERVICE_STOPPED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
