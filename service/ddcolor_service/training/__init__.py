"""How the demo weights were made: ``python -m ddcolor_service.training``."""
