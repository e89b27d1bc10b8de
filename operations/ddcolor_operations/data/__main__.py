"""``python -m ddcolor_operations.data``: the same as ``ddcolor-obs data``, for the native stack."""

from .cli import data

data()
