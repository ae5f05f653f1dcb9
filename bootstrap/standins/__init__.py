"""Stand-ins for Pulumi plugins that cannot be downloaded where only package registries answer.

Each is a gRPC plugin program: it prints the port it serves on and speaks the protocol of the
official plugin, with the code of the protocol taken from the pulumi SDK. `launchers` writes the
scripts under which the CLI finds them on PATH.
"""
