"""What services agree on: topics, the payloads of their events, and the envelope they travel in.

Payloads have versions, and what is released stays readable (docs/events/README.md).

The one home of these facts: services and load tests take them from here, and so does the program
that declares topics and rights. Depends on pydantic and, for ids, uuid_utils; topics on nothing.
"""
