"""Trains the demo weights: a small DDColor from scratch, on a CPU, in about half an hour."""

from __future__ import annotations

import copy
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ddcolor_service.network import DDColor, DDColorConfig
from ddcolor_service.network.layers import SpectralConv2d
from ddcolor_service.training.data import Photos, View, large_view, view_at

log = logging.getLogger(__name__)

_EMA_DECAY = 0.995
_SAVE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained and for how long. The steps alone decide the result, not the clock.

    The first ``steps`` go over small pieces, the ``large_steps`` after them over pieces of the
    sizes that the network is used at. Those only fit into batches of a few, too few for batch
    statistics, which are therefore taken once in between over ``calibrate`` passes and then kept.
    """

    config: DDColorConfig
    steps: int = 3600
    large_steps: int = 1500
    seed: int = 7
    learning_rate: float = 3e-3
    large_learning_rate: float = 1e-3
    warmup: int = 150
    calibrate: int = 60

    @property
    def total(self) -> int:
        """Steps of both parts."""
        return self.steps + self.large_steps


def loss_of(predicted: Tensor, ab: Tensor) -> Tensor:
    """Weigh colourful pixels up, and ask for as much colour in all as the photograph has.

    Plain regression prefers grey wherever it is unsure, and colour covers the smaller part of most
    photographs; both together make brown mush.
    """
    chroma = ab.norm(dim=1, keepdim=True)
    weight = (0.5 + chroma / 20).clamp(max=3.0)
    distance = functional.smooth_l1_loss(predicted, ab, beta=12.0, reduction="none")
    wanted = chroma.mean(dim=(1, 2, 3))
    # The norm's gradient is endless at 0, where a fresh network starts.
    given = (predicted.square().sum(dim=1) + 1e-2).sqrt().mean(dim=(1, 2))
    shortfall = functional.relu(wanted - given).mean()
    loss: Tensor = (weight * distance).mean() + 0.3 * shortfall
    return loss


def _batch_norms(network: DDColor) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def _cosine(top: float, step: int, steps: int) -> float:
    return top * (0.02 + 0.98 * (1 + math.cos(math.pi * step / max(1, steps))) / 2)


def _reach_lab_units(network: DDColor) -> None:
    """Start the colours at tens, as a and b are.

    Spectral norm holds every other layer on the way to about 1, so this one layer has to make up
    for it; from the usual start it takes thousands of steps to grow that far.
    """
    with torch.no_grad():
        network.get_parameter("decoder.color_decoder.color_embed.layers.2.weight").mul_(40)


class Trainer:
    """The state of a training run; can be saved and taken up again at any step."""

    def __init__(self, plan: Plan, photos: Photos) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.photos = photos
        self.network = DDColor(plan.config).train()
        _reach_lab_units(self.network)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.step = 0
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=plan.learning_rate, betas=(0.9, 0.98)
        )

    def run(self, saved: Path, stop_at: float) -> bool:
        """Train until the last step or until ``time.monotonic()`` reaches ``stop_at``.

        The state is written to ``saved`` every minute and whenever the run ends, Ctrl-C included.
        Returns whether all steps are done.
        """
        last_save = last_said = time.monotonic()
        recent: list[float] = []
        try:
            while self.step < self.plan.total and time.monotonic() < stop_at:
                recent.append(self._advance())
                now = time.monotonic()
                if now - last_said > 10:
                    self._say(recent, now - last_said)
                    recent, last_said = [], now
                if now - last_save > _SAVE_EVERY_S:
                    self.save(saved)
                    last_save = now
        finally:
            self.save(saved)
        return self.step >= self.plan.total

    def _advance(self) -> float:
        # One generator per step: a run that was interrupted sees the same pieces as one that was
        # not.
        rng = np.random.default_rng((self.plan.seed, self.step))
        large = self.step >= self.plan.steps
        if self.step == self.plan.steps:
            self._calibrate()
            self.average.load_state_dict(self.network.state_dict())
        self.network.train()
        for norm in _batch_norms(self.network):
            norm.train(not large)
        view = large_view(rng) if large else view_at(rng, self.step / self.plan.steps)
        grey, ab = self.photos.batch(rng, view)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss = loss_of(self.network(grey), ab)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for averaged, current in pairs:
                averaged.lerp_(current, 1 - _EMA_DECAY)
        self.step += 1
        return loss.item()

    def _learning_rate(self) -> float:
        plan = self.plan
        if self.step < plan.warmup:
            return plan.learning_rate * (self.step + 1) / plan.warmup
        if self.step < plan.steps:
            return _cosine(plan.learning_rate, self.step - plan.warmup, plan.steps - plan.warmup)
        return _cosine(plan.large_learning_rate, self.step - plan.steps, plan.large_steps)

    def _calibrate(self) -> None:
        """Take batch statistics anew, as a plain mean over passes of large pieces."""
        norms = _batch_norms(self.network)
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        self.network.train()
        rng = np.random.default_rng((self.plan.seed, self.plan.steps, 1))
        with torch.no_grad():
            for index in range(self.plan.calibrate):
                grey, _ = self.photos.batch(rng, View(4, (256, 384, 512)[index % 3]))
                self.network(grey)
        for norm in norms:
            norm.momentum = 0.1

    def finished(self) -> DDColor:
        """Return the averaged network, ready for evaluation.

        Averaging moves the weights but not their singular vectors: these start from those of the
        last step and are refined.
        """
        network = copy.deepcopy(self.average).train()
        latest = dict(self.network.named_buffers())
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                buffer.copy_(latest[name])
            for layer in network.modules():
                if isinstance(layer, SpectralConv2d):
                    for _ in range(20):
                        layer.weight()
        return network.eval()

    def save(self, path: Path) -> None:
        """Write the state so that a crash while writing leaves the earlier one."""
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Take up a saved state. A different configuration of the network is an error."""
        state = torch.load(path, weights_only=True)
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _say(self, losses: list[float], seconds: float) -> None:
        pace = seconds / len(losses)
        left = (self.plan.total - self.step) * pace / 60
        mean = sum(losses) / len(losses)
        log.info(
            "step %d of %d, loss %.3f, %.2f s a step, %.0f min to go",
            self.step,
            self.plan.total,
            mean,
            pace,
            left,
        )
