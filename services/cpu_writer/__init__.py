"""Turns the points of telemetry.points into rollups of windows, with a pool of processes."""
