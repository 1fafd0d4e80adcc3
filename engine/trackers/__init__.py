"""Mirrors a run to experiment trackers, each in a process of its own that follows the run as any viewer does."""
