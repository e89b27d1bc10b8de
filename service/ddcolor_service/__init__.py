"""A photo restoration service: the DDColor network behind ComfyUI's API."""
