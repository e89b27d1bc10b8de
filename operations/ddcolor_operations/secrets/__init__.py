"""The operator's secrets, encrypted at rest: ``ddcolor-obs secrets`` and what reads them."""
