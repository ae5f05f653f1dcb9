"""The Pulumi program: see `infra.stack.program`."""

from infra.stack.program import run

if __name__ == "__main__":
    run()
