"""ComfyUI from the outside: the pack put into it, and what can be seen without one."""
