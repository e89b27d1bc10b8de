"""ComfyUI's HTTP and WebSocket API, and this service's own routes beside it."""
