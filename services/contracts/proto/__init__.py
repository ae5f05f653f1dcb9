"""Contracts of the gRPC APIs, and the messages that are made of them.

`python -m services.contracts.messages` makes the modules `*_pb2` beside the files `.proto`; they
are committed, so that nothing needs a compiler to run. There are no `*_pb2_grpc`: a service is
registered from its descriptor (services/shared/grpc), and a client names the method that it calls.
"""
