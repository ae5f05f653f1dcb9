"""A load run from its settings to its results; the load itself is made in other processes."""
