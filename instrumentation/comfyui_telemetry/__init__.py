"""Telemetry for ComfyUI services: JSON logs, traces and metrics."""
