"""The Pulumi program: see `infra.program`."""

from infra.program import run

if __name__ == "__main__":
    run()
