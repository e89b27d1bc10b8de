"""Starts ElastAlert2 with this project's rules: ``python -m ddcolor_alerts.launcher``.

Environment (the config file and the rules name these):

========================== =========================================================================
``ES_HOST``, ``ES_PORT``   Elasticsearch (required)
``DDCOLOR_NOTIFIER_URL``   address of the notifier, as ``http://127.0.0.1:8085`` (required)
``DDCOLOR_RULES_FOLDER``   folder of rule files (default: ``rules`` beside this package)
``ES_USE_SSL``             ``True`` for https
``ES_USERNAME``            with ``ES_PASSWORD``, or better ``ES_PASSWORD_FILE``
``ES_API_KEY``             or better ``ES_API_KEY_FILE``
``DDCOLOR_NOTIFIER_TOKEN`` the notifier's api_token, if it has one; or better
                           ``DDCOLOR_NOTIFIER_TOKEN_FILE``
========================== =========================================================================

It waits for Elasticsearch, creates ElastAlert2's indices, then runs the rules. ``--ready-file`` is
written after each full round of all rules, so its age says whether alerting works. SIGTERM and
SIGINT end it within seconds with exit status 0; a wrong setting ends it at once with status 2 and
a sentence.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from elastalert.elastalert import ElasticsearchException
from elastalert.util import EAException, elasticsearch_client
from elastalert.yaml import read_yaml

from ddcolor_alerts import indices, jsonlog, notifier
from ddcolor_alerts.runner import Runner

_LOG = logging.getLogger("ddcolor_alerts.launcher")

_HOME = Path(__file__).resolve().parents[1]
_SECRET_FILES = ("ES_PASSWORD", "ES_API_KEY", "ES_BEARER", notifier.ACCESS_VARIABLE)
_UNSET_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
_SAY_EVERY_S = 30.0
_STOP_WITHIN_S = 8.0


class SettingError(Exception):
    """A setting is missing or wrong; the text says which, and what to do."""


class ReadyFile:
    """Tells others that all rules ran: a small JSON file, replaced after each round."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._said = -_SAY_EVERY_S

    def cycle_done(self, rules: int, seconds: float) -> None:
        """Note one full round of ``rules`` rules that took ``seconds``."""
        now = datetime.now(UTC).isoformat()
        if self._path is not None:
            text = json.dumps({"time": now, "rules": rules, "cycle_s": round(seconds, 3)})
            new = self._path.with_suffix(".new")
            new.write_text(text + "\n", encoding="utf-8")
            new.replace(self._path)
        if time.monotonic() - self._said >= _SAY_EVERY_S:
            self._said = time.monotonic()
            fields = {jsonlog.RULE_COUNT: rules, jsonlog.CYCLE_DURATION: round(seconds, 3)}
            _LOG.info(
                "All %d rules ran, the last round in %.1f s",
                rules,
                seconds,
                extra={"event": jsonlog.EVENT_ALERTING_HEARTBEAT, "fields": fields},
            )

    def remove(self) -> None:
        """Take the file away: nothing is ready any more."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    """Run until a signal comes; return the exit status."""
    options = _parse(argv)
    stop = threading.Event()
    runners: list[Runner] = []

    def on_signal(*_: object) -> None:
        stop.set()
        for runner in runners:
            runner.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    jsonlog.configure(options.log_file, version("elastalert2"), options.log_level)
    ready = ReadyFile(options.ready_file)
    ready.remove()
    try:
        _read_secret_files()
        os.environ.setdefault("DDCOLOR_RULES_FOLDER", str(_HOME / "rules"))
        config = _read_config(options.config)
        if _prepare_indices(config, stop):
            runners.append(Runner(["--config", str(options.config)], ready.cycle_done))
            if not stop.is_set():
                _run(runners[0])
    except (SettingError, EAException) as error:
        _LOG.critical("%s", error)
        return 2
    finally:
        ready.remove()
    _LOG.info("Stopped", extra={"event": jsonlog.EVENT_ALERTING_STOPPED})
    logging.shutdown()
    # A request to a server that hangs would hold a worker thread, and so the process.
    sys.stdout.flush()
    os._exit(0)


def _run(runner: Runner) -> None:
    _LOG.info(
        "Running %d rules every %.1f s",
        len(runner.rules),
        runner.run_every.total_seconds(),
        extra={
            "event": jsonlog.EVENT_ALERTING_STARTED,
            "fields": {jsonlog.RULE_COUNT: len(runner.rules)},
        },
    )
    runner.start()
    ending = threading.Thread(target=runner.scheduler.shutdown, daemon=True)
    ending.start()
    ending.join(_STOP_WITHIN_S)


def _prepare_indices(config: dict[str, Any], stop: threading.Event) -> bool:
    """Wait for Elasticsearch and create the indices; False when told to stop before that."""
    client = elasticsearch_client(config)
    pause = 0.5
    while not stop.is_set():
        try:
            created = indices.create(client, config["writeback_index"])
        except ElasticsearchException as error:
            _LOG.warning("Waiting for Elasticsearch: %s", type(error).__name__)
            stop.wait(pause)
            pause = min(10.0, pause * 2)
        else:
            if created:
                _LOG.info("Created %s", ", ".join(created))
            return True
    return False


def _read_config(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingError(f"{path}: {error.strerror}: give the config with --config") from error
    code = "\n".join(line.partition("#")[0] for line in raw.splitlines())
    unset = sorted({name for name in _UNSET_VARIABLE.findall(code) if name not in os.environ})
    if "DDCOLOR_NOTIFIER_URL" not in os.environ:
        unset.append("DDCOLOR_NOTIFIER_URL")
    if unset:
        raise SettingError(f"{path.name} and the rules need these variables: {', '.join(unset)}")
    config: dict[str, Any] = read_yaml(str(path))
    return config


def _read_secret_files() -> None:
    """Take secrets from files, so that they stand in no environment that others can read."""
    for name in _SECRET_FILES:
        file = os.environ.get(f"{name}_FILE")
        if file:
            try:
                os.environ[name] = Path(file).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SettingError(f"{name}_FILE: {error.strerror}: {file}") from error


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ddcolor_alerts.launcher", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--config", type=Path, default=_HOME / "config.yaml")
    parser.add_argument("--log-file", type=Path, help="JSON lines, rotated; also on stdout")
    parser.add_argument("--ready-file", type=Path, help="written after each round of all rules")
    parser.add_argument("--log-level", choices=("info", "debug"), default="info")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
