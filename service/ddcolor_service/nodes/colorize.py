"""DDColor_Colorize: the node that colours a black-and-white photo."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from comfyui_telemetry import classify, semconv
from ddcolor_service import faults
from ddcolor_service.advice import LARGE_PHOTO_PX, SIZE_ADVICE, SIZE_STEP
from ddcolor_service.checks import check_restored
from ddcolor_service.colorize import batch_size
from ddcolor_service.execution import CancelToken, NodeRun, current_run
from ddcolor_service.models import DEMO_NAME, LoadedModel
from ddcolor_service.nodes.services import NodeServices
from ddcolor_service.notices import Notice
from ddcolor_service.report import log_fault

_MIN_SIZE, _MAX_SIZE = 32, 4096
_MIN_RETRY_SIZE = 256
# What is passed on as advice (person 460-680, building 960-1280) holds sizes that no network takes.
_PASSED_ON = {"person": (460, 680), "building": (960, 1280)}


class DDColorColorize:
    """Colours a batch of photos with a DDColor checkpoint."""

    services: ClassVar[NodeServices]

    CATEGORY = "DDColor"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "colorize"
    DESCRIPTION = "Colours black-and-white photos. Advice: person 480-672, building 960-1280."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  ComfyUI's protocol
        """Declare the inputs; the default checkpoint is one whose file is there."""
        models = cls.services.models
        names = models.names()
        there = models.available()
        size = {"default": 512, "min": _MIN_SIZE, "max": _MAX_SIZE, "step": SIZE_STEP}
        return {
            "required": {
                "image": ("IMAGE",),
                "model_input_size": ("INT", size),
                "checkpoint": (names, {"default": there[0] if there else DEMO_NAME}),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, model_input_size: object) -> bool | str:  # noqa: N802  the protocol
        """Hold the size against the limits, and against the step if the settings say so."""
        if not isinstance(model_input_size, int):  # comes from another node
            return True
        if not _MIN_SIZE <= model_input_size <= _MAX_SIZE:
            return f"the size must lie between {_MIN_SIZE} and {_MAX_SIZE}"
        if cls.services.settings.size_policy == "refuse" and model_input_size % SIZE_STEP:
            return (
                f"{model_input_size} is no multiple of {SIZE_STEP}; the nearest that fits is"
                f" {fitting_size(model_input_size)}"
            )
        return True

    @classmethod
    def IS_CHANGED(cls, checkpoint: object) -> str:  # noqa: N802  ComfyUI's protocol
        """Tell a checkpoint file from its successor: no picture of the old one may be cached."""
        return cls.services.models.state_of(str(checkpoint))

    def colorize(
        self, image: torch.Tensor, model_input_size: int, checkpoint: str
    ) -> tuple[torch.Tensor]:
        """Return the coloured batch (NxHxWx3, 0..1) of a batch NxHxWxC.

        Raises what the model registry raises, :class:`OutputDamagedError`, or an out-of-memory
        error of the device.
        """
        run = current_run()
        size = fitting_size(model_input_size)
        photos: NDArray[np.float32] = np.ascontiguousarray(
            image[..., :3].detach().cpu().float().numpy()
        )
        if photos.shape[-1] == 1:
            photos = np.repeat(photos, 3, axis=-1)
        self._advise(run, model_input_size, size, photos.shape)
        if run is not None:
            # Before anything can fail: which sizes fail is the first question about memory.
            run.describe(
                **{
                    semconv.IMAGE_WIDTH: photos.shape[2],
                    semconv.IMAGE_HEIGHT: photos.shape[1],
                    semconv.MODEL_INPUT_SIZE: size,
                }
            )
        model = self._model(run, checkpoint)
        self._suffer(run, model)
        coloured, size = self._infer(run, model, photos, size)
        if self.services.faults.take("output_damaged"):
            coloured = np.zeros_like(coloured)
        for before, after in zip(photos, coloured, strict=True):
            check_restored(before, after)
        return (torch.from_numpy(coloured),)

    def _model(self, run: NodeRun | None, checkpoint: str) -> LoadedModel:
        """Return the model, loaded if it was not, with its own span for the loading."""
        models, telemetry = self.services.models, self.services.telemetry
        if run is not None:
            run.describe(**{semconv.MODEL_NAME: checkpoint})
        if self.services.faults.take("missing_checkpoint"):
            # Ask for a file that is really not there, instead of pretending.
            return models.get(f"missing-{checkpoint}")
        if models.is_current(checkpoint):
            model = models.get(checkpoint)
        else:
            with telemetry.tracer.start_as_current_span("load model") as span:
                span.set_attribute(semconv.MODEL_NAME, checkpoint)
                model = models.get(checkpoint)
                span.set_attribute(semconv.MODEL_VARIANT, model.variant)
        facts: dict[str, Any] = {
            semconv.MODEL_NAME: model.name,
            semconv.MODEL_SHA256: model.sha256[:16],
            semconv.MODEL_VARIANT: model.variant,
            semconv.DEVICE: model.device,
        }
        if model.loaded_now:
            facts[semconv.MODEL_LOAD_DURATION] = round(model.load_seconds, 6)
            telemetry.logger("ddcolor_service.models").info(
                f"Loaded the checkpoint in {model.load_seconds:.2f} s",
                event_name=semconv.EVENT_MODEL_LOADED,
                **facts,
            )
        if run is not None:
            run.describe(**facts)
        return model

    def _suffer(self, run: NodeRun | None, model: LoadedModel) -> None:
        """Let the armed faults of this node happen."""
        armed = self.services.faults
        if slow := armed.take("slow_inference"):
            (run.cancel if run is not None else CancelToken()).wait(slow.seconds or 0.0)
        if armed.take("out_of_memory"):
            faults.exhaust_memory(model.device)
        if armed.take("execution_error"):
            faults.break_shapes()

    def _infer(
        self, run: NodeRun | None, model: LoadedModel, photos: NDArray[np.float32], size: int
    ) -> tuple[NDArray[np.float32], int]:
        """Return the coloured photos and the size that was used at last."""
        try:
            return self._forward(run, model, photos, size), size
        except Exception as error:
            smaller = max(_MIN_RETRY_SIZE, size * 3 // 4 // SIZE_STEP * SIZE_STEP)
            allowed = self.services.settings.oom_retry and smaller < size
            if not allowed or classify(error) != "out_of_memory":
                raise
            error.__traceback__ = None  # its frames hold the tensors that filled the memory
        free_device_memory()
        notice = Notice("retried_smaller", {"asked": size, "used": smaller})
        self.services.telemetry.logger("ddcolor_service.models").warning(str(notice).capitalize())
        if run is not None:
            run.notice(notice)
        return self._forward(run, model, photos, smaller), smaller

    def _forward(
        self, run: NodeRun | None, model: LoadedModel, photos: NDArray[np.float32], size: int
    ) -> NDArray[np.float32]:
        started = time.perf_counter()
        step = batch_size(torch.device(model.device))
        done: list[NDArray[np.float32]] = []
        peaks: list[int] = []
        for start in range(0, len(photos), step):
            batch = photos[start : start + step]
            check = run.cancel.check if run is not None else None
            done.append(model.colorize(batch, size, check=check).astype(np.float32, copy=False))
            peaks += [peak for peak in [model.peak_device_bytes()] if peak is not None]
            if run is not None:
                run.progress(start + len(batch), len(photos))
        if run is not None:
            facts: dict[str, Any] = {
                semconv.MODEL_INPUT_SIZE: size,
                semconv.INFERENCE_DURATION: round(time.perf_counter() - started, 6),
            }
            if peaks:
                facts[semconv.DEVICE_MEMORY_PEAK] = max(peaks)
            run.describe(**facts)
        return np.concatenate(done) if len(done) > 1 else done[0]

    def _advise(self, run: NodeRun | None, asked: int, size: int, shape: tuple[int, ...]) -> None:
        """Say in the log and to the client what about the sizes is against the advice."""
        scenario = run.scenario if run is not None else None
        notices = size_notices(asked, size, max(shape[1:3]), scenario)
        if not notices:
            return
        log_fault(
            self.services.telemetry.logger("ddcolor_service.size"),
            "size_advice",
            "; ".join(map(str, notices)),
            event_name=semconv.EVENT_SIZE_ADVICE,
            attributes={semconv.MODEL_INPUT_SIZE: asked},
        )
        if run is not None:
            for notice in notices:
                run.notice(notice)


def fitting_size(asked: int) -> int:
    """Return the multiple of 32 next to ``asked``, kept inside the advice if ``asked`` is.

    460 becomes 480 and 680 becomes 672: both are passed on as good sizes for persons.
    """
    size = max(SIZE_STEP, (asked + SIZE_STEP // 2) // SIZE_STEP * SIZE_STEP)
    for scenario, (low, high) in _PASSED_ON.items():
        if low <= asked <= high:
            size = min(max(size, SIZE_ADVICE[scenario].smallest), SIZE_ADVICE[scenario].largest)
    return size


def size_notices(asked: int, size: int, longest_side: int, scenario: str | None) -> list[Notice]:
    """Return what is to be said of a size (pixels); without a scenario any advice will do."""
    notices = []
    if size != asked:
        notices.append(Notice("size_rounded", {"asked": asked, "step": SIZE_STEP, "used": size}))
    advised = [SIZE_ADVICE[scenario]] if scenario in SIZE_ADVICE else list(SIZE_ADVICE.values())
    if not any(advice.covers(size) for advice in advised):
        ranges = " / ".join(f"{advice.smallest}–{advice.largest}" for advice in advised)
        notices.append(Notice("size_outside_advice", {"size": size, "advised": ranges}))
    if longest_side > LARGE_PHOTO_PX:
        notices.append(Notice("photo_large", {"limit": LARGE_PHOTO_PX}))
    return notices


def free_device_memory() -> None:
    """Give cached blocks back to the device."""
    import gc

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
