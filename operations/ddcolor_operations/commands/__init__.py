"""The commands of ``ddcolor-obs`` that belong to no part of their own."""
