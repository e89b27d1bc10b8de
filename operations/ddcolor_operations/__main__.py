"""``python -m ddcolor_operations``: the command line, where ``ddcolor-obs`` is not on the path."""

from .cli import main

main()
