"""The topics of the platform. An event's type is the name of its topic."""

from typing import Final

RESOURCE_CREATED: Final = "resource.created"
RESOURCE_UPDATED: Final = "resource.updated"
RESOURCE_DELETED: Final = "resource.deleted"
TASK_PROCESS: Final = "task.process"
TASK_COMPLETED: Final = "task.completed"
TASK_FAILED: Final = "task.failed"

RESOURCE_EVENTS: Final = (RESOURCE_CREATED, RESOURCE_UPDATED, RESOURCE_DELETED)
"""The life of a resource. Their events are numbered: version 1, 2, 3, … of their resource."""
TASK_ENDS: Final = (TASK_COMPLETED, TASK_FAILED)
"""How a task ends, one way or the other."""
TASK_EVENTS: Final = (TASK_PROCESS, *TASK_ENDS)
"""The life of a task. Their events may be numbered: version 1, 2, 3, … of all that have their key,
which is their resource, or the task itself where it is about none."""

DEAD_LETTER: Final = "events.dead-letter"
"""Messages that no consumer can turn into an event, as they came, with the reason in headers."""

TELEMETRY_POINTS: Final = "telemetry.points"
"""Points that devices measured, a message each; the key is the device."""
TELEMETRY_DEAD_LETTER: Final = "telemetry.dead-letter"
"""Those that cannot be stored, as they came, with the reason in headers."""

TOPICS: Final = (
    *RESOURCE_EVENTS,
    *TASK_EVENTS,
    DEAD_LETTER,
    TELEMETRY_POINTS,
    TELEMETRY_DEAD_LETTER,
)
"""All of them."""
