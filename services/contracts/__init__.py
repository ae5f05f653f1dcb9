"""What services agree on: topics, the payloads of their events, and the envelope they travel in.

Payloads have versions, and what is released stays readable (docs/events/README.md). Contracts of
gRPC have revisions, and callers of each can go on (docs/grpc/README.md).

The one home of these facts: services and load tests take them from here, and so does the program
that declares topics and rights. Depends on pydantic, for ids on uuid_utils, for messages of gRPC
on protobuf; topics on nothing.
"""
