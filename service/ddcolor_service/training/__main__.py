"""``python -m ddcolor_service.training``: collect the photographs, train, write the assets."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ddcolor_service.checkpoints import read_checkpoint
from ddcolor_service.models import ASSETS, DEMO_NAME
from ddcolor_service.network import DEMO
from ddcolor_service.training import export
from ddcolor_service.training.collect import CollectError, collect, digest
from ddcolor_service.training.data import Photos
from ddcolor_service.training.train import Plan, Trainer

log = logging.getLogger("ddcolor_service.training")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ddcolor_service.training",
        description="Train the demo weights. Stop with Ctrl-C at any time; the next run goes on.",
    )
    parser.add_argument("--work", type=Path, default=Path(".state/training"), help="photos, state")
    parser.add_argument("--out", type=Path, default=ASSETS, help="where the assets are written")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="pause after so long")
    parser.add_argument("--sheet-only", action="store_true", help="judge the state as it is now")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        return _run(options)
    except (CollectError, FileNotFoundError) as error:
        log.error("%s", error)  # noqa: TRY400 - the message is meant for a person
        return 1
    except KeyboardInterrupt:
        log.info("stopped; run the same command to go on")
        return 130


def _run(options: argparse.Namespace) -> int:
    started = time.monotonic()
    photos_dir: Path = options.work / "photos"
    collect(photos_dir)
    log.info("photos: sha256 %s", digest(photos_dir))

    torch.use_deterministic_algorithms(True)
    trainer = Trainer(Plan(DEMO), Photos(photos_dir))
    saved: Path = options.work / "state.pt"
    if saved.exists():
        trainer.load(saved)
        log.info("going on from step %d", trainer.step)
    done = options.sheet_only or trainer.run(saved, started + options.minutes * 60)
    if not done:
        log.info("paused at step %d; run the same command to go on", trainer.step)
        return 0

    network = trainer.finished()
    pictures = [export.held_out(photos_dir, stem) for stem in export.DEMO_PHOTOS.values()]
    seen = [group[0] for group in trainer.photos.groups.values()]
    sheet = options.work / f"sheet-{trainer.step}.png"
    export.write_sheet(network, [*pictures, *seen], [512, 960], sheet)
    log.info("look at %s", sheet)
    if options.sheet_only:
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    export.write_checkpoint(network, options.out / DEMO_NAME)
    export.write_demo_photos(photos_dir, options.out / "photos")
    log.info("wrote %s: sha256 %s", DEMO_NAME, read_checkpoint(options.out / DEMO_NAME).sha256)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
