"""What the container stack needs besides the native one: secrets, and a secured set-up."""
