"""Recorded resources as the rules see them: the adapter for pytest."""

from policies.resources import Resource
from tests.harness.recording import Recording


def resources(recording: Recording) -> list[Resource]:
    return [Resource(r.type, r.name, r.inputs, r.protect) for r in recording.resources]
