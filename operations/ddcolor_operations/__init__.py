"""What an operator of the DDColor service runs: the native stack, alerts, set-up and checks."""
