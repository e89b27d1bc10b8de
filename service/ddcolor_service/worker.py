"""The one thread that runs prompts. It ends only when told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from opentelemetry import context as otel_context

from comfyui_telemetry import Telemetry, extract_context
from ddcolor_service.execution import CancelToken
from ddcolor_service.executor import PromptExecutor
from ddcolor_service.prompt_queue import Job, PromptQueue, Result
from ddcolor_service.report import describe_error

Publish = Callable[[str, dict[str, Any], str | None], None]


class Worker:
    """Takes jobs from the queue and runs them one at a time."""

    def __init__(
        self,
        queue: PromptQueue,
        executor: PromptExecutor,
        telemetry: Telemetry,
        publish: Publish,
        *,
        unload: Callable[[], None],
        prompt_hard_limit_s: float = 0.0,
    ) -> None:
        self._queue = queue
        self._executor = executor
        self._telemetry = telemetry
        self._log = telemetry.logger("ddcolor_service.worker")
        self._publish = publish
        self._unload = unload
        self._limit_s = prompt_hard_limit_s
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._cancel: CancelToken | None = None
        self._requeue = False
        self._free: set[str] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="prompt-worker", daemon=True)

    def start(self) -> None:
        """Queue again what an earlier process left, then begin to work."""
        kept, lost = self._queue.restore()
        for job in kept:
            self._announce(job)
        for job in lost:
            self._give_up(job)
        self._thread.start()

    def alive(self) -> bool:
        """Say whether the thread lives."""
        return self._thread.is_alive()

    def silent_for(self) -> float:
        """Return for how many seconds the running prompt has given no sign of life; 0 for none."""
        with self._lock:
            return self._cancel.silent_for() if self._cancel is not None else 0.0

    def interrupt(self, prompt_id: str | None = None) -> bool:
        """Ask the running prompt to stop, or only if it is ``prompt_id``; say whether it was."""
        with self._lock:
            if self._job is None or self._cancel is None:
                return False
            if prompt_id is not None and self._job.prompt_id != prompt_id:
                return False
            self._cancel.cancel()
            return True

    def request_free(self, *, unload_models: bool, free_memory: bool) -> None:
        """Free memory as soon as no prompt runs."""
        with self._lock:
            self._free |= {"models"} if unload_models or free_memory else set()
            self._free |= {"cache"} if free_memory else set()
        self._queue.poke()

    def running_client(self) -> tuple[str, str, str | None] | None:
        """Return (client id, prompt id, node id) of the running prompt, if it has a client."""
        with self._lock:
            if self._job is None or self._job.client_id is None:
                return None
            return self._job.client_id, self._job.prompt_id, self._executor.current_node

    def stop(self, drain_s: float) -> bool:
        """End after the running prompt, or interrupt and requeue it after ``drain_s`` seconds.

        Returns whether the thread ended; one stuck in a foreign call dies with the process, and
        the journal still holds its prompt.
        """
        self._stopping = True
        self._queue.close()
        self._thread.join(drain_s)
        if self._thread.is_alive():
            with self._lock:
                self._requeue = True
                if self._cancel is not None:
                    self._cancel.cancel()
            self._thread.join(5.0)
        return not self._thread.is_alive()

    # --- the thread -----------------------------------------------------------------------------
    def _loop(self) -> None:
        while not self._stopping:
            self._do_free()
            cancel = CancelToken(self._limit_s)
            job = self._queue.get(60.0, taken=partial(self._take, cancel))
            if job is not None:
                self._run(job, cancel)

    def _take(self, cancel: CancelToken, job: Job) -> None:
        """Make the job one that an interrupt reaches."""
        cancel.start()
        with self._lock:
            self._job, self._cancel = job, cancel

    def _run(self, job: Job, cancel: CancelToken) -> None:
        try:
            result = self._executor.execute(job, cancel)
        except BaseException as error:  # noqa: BLE001  nothing may end this thread: prompts would
            # be accepted for ever and never run
            self._log.error("A prompt could not be run", exc_info=error)
            result = _broken(job, error)
        with self._lock:
            requeue = self._requeue and cancel.cancelled
            self._job, self._cancel = None, None
        self._queue.done(job, result, requeue=requeue)
        if job.client_id is not None:
            data = {"node": None, "prompt_id": job.prompt_id}
            self._publish("executing", data, job.client_id)

    def _do_free(self) -> None:
        with self._lock:
            wanted, self._free = self._free, set()
        try:
            if "cache" in wanted:
                self._executor.drop_cache()
            if "models" in wanted:
                self._unload()
        except Exception as error:  # noqa: BLE001  freeing is a favour, the thread must live on
            self._log.error("Memory could not be freed", exc_info=error)

    # --- after a restart ------------------------------------------------------------------------
    def _announce(self, job: Job) -> None:
        """Let the recorder know the job again, under the trace of the request that sent it."""
        token = otel_context.attach(extract_context(job.carrier))
        try:
            recorder = self._telemetry.recorder
            recorder.prompt_queued(job.prompt_id, number_waiting=self._queue.remaining())
        finally:
            otel_context.detach(token)

    def _give_up(self, job: Job) -> None:
        error = RuntimeError("the service ended twice while this prompt ran; it is not tried again")
        self._log.warning("A prompt was running at each of the last crashes and is given up")
        self._queue.remember_lost(job, _broken(job, error))


def _broken(job: Job, error: BaseException) -> Result:
    data = {
        "prompt_id": job.prompt_id,
        "node_id": None,
        "node_type": None,
        "executed": [],
        **describe_error(error, "execution_error"),
        "current_inputs": {},
        "current_outputs": [],
        "timestamp": int(time.time() * 1000),
    }
    return Result({}, {}, "error", completed=False, messages=[("execution_error", data)])
