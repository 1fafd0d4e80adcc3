"""Runs without a full screen: progress bars on a terminal, plain lines elsewhere, JSON lines for programs."""
