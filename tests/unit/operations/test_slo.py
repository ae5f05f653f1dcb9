"""``make slo``, as a program behind a pipe gets it."""

from typer.testing import CliRunner

from infra.monitoring import openslo
from operations.__main__ import app


def test_objectives_go_to_standard_output_and_nothing_else_does():
    ran = CliRunner().invoke(app, ["slo"])
    assert ran.exit_code == 0
    assert ran.stdout == openslo.exported()
    assert ran.stderr == ""
