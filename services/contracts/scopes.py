"""What a token may allow: one scope for each thing a client can be trusted with."""

from typing import Final

RESOURCES_READ: Final = "resources:read"
RESOURCES_WRITE: Final = "resources:write"
DATA_READ: Final = "data:read"
DATA_WRITE: Final = "data:write"
TELEMETRY_READ: Final = "telemetry:read"
TELEMETRY_WRITE: Final = "telemetry:write"
TASKS_READ: Final = "tasks:read"
TASKS_WRITE: Final = "tasks:write"
CLIENTS_ADMIN: Final = "clients:admin"

SCOPES: Final = {
    RESOURCES_READ: "Read resources",
    RESOURCES_WRITE: "Create, change and delete resources",
    DATA_READ: "Read documents",
    DATA_WRITE: "Store documents",
    TELEMETRY_READ: "Read points and rollups of devices",
    TELEMETRY_WRITE: "Send points of devices",
    TASKS_READ: "Read and watch tasks",
    TASKS_WRITE: "Ask for tasks",
    CLIENTS_ADMIN: "Register, list and deactivate clients",
}
"""Each with what it allows, as OpenAPI documents show it."""
