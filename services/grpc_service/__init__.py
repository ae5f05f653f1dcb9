"""Makes a task of every event of a resource, runs tasks in their order, and says how each ended."""
