"""The language host under the real CLI."""

import os
import shutil
import sys
from pathlib import Path

from bootstrap.checkout import find_checkout
from bootstrap.standins.launchers import write_plugin_cache
from tests.integration.standins.project import Project, interrupt


def test_a_program_runs_with_its_configuration_output_and_name(project: Project) -> None:
    project.program(
        "import os, sys, pulumi\n"
        "print('to stdout')\n"
        "print('to stderr', file=sys.stderr)\n"
        "assert __name__ == '__main__'\n"
        "import beside\n"
        "import random; assert hasattr(random, 'choice')\n"
        "config = pulumi.Config()\n"
        "pulumi.export('plain', config.require('plain'))\n"
        "pulumi.export('secret', config.require_secret('hidden'))\n"
        "pulumi.export('names', [pulumi.get_project(), pulumi.get_stack()])\n"
        "pulumi.export('folder', os.getcwd())\n"
        "pulumi.export('standins', os.environ['MILLRACE_STANDINS'])\n"
    )
    (project.folder / "beside.py").touch()
    project.must("config", "set", "--secret", "hidden", "s3cret")
    project.config["plain"] = "p"
    shown = project.up()
    assert "to stdout" in shown
    assert "to stderr" in shown
    assert "s3cret" not in shown
    assert "s3cret" not in project.exported()
    assert project.outputs() == {
        "plain": "p",
        "secret": "s3cret",
        "names": ["trial", "dev"],
        "folder": str(project.folder),
        "standins": "1",
    }


def test_a_failing_program_shows_its_own_trace_once_and_fails(project: Project) -> None:
    project.program("def deep():\n    raise ValueError('kaputt')\n\ndeep()\n")
    done = project.preview()
    assert done.code != 0
    diagnostics = done.output.split("Diagnostics:")[1]
    assert diagnostics.count("Traceback") == 1
    assert diagnostics.count("ValueError: kaputt") == 1
    assert "line 2, in deep" in diagnostics
    assert "runpy" not in diagnostics
    assert "run_program" not in diagnostics


def test_missing_configuration_is_one_sentence_without_a_trace(project: Project) -> None:
    project.program("import pulumi\npulumi.Config().require('size')\n")
    done = project.preview()
    assert done.code != 0
    assert "Missing required configuration variable 'trial:size'" in done.output
    assert "Traceback" not in done.output
    assert "exit code" not in done.output


def test_an_exit_code_of_the_program_is_reported(project: Project) -> None:
    project.program("raise SystemExit(7)\n")
    done = project.preview()
    assert done.code != 0
    assert "Program exited with non-zero exit code: 7" in done.output


def test_a_folder_without_a_program_is_named(project: Project) -> None:
    done = project.preview()
    assert done.code != 0
    assert f"there is no __main__.py in {project.folder}" in done.output


def test_an_environment_that_is_missing_is_named_with_the_way_out(project: Project) -> None:
    project.program("")
    (project.folder / "Pulumi.yaml").write_text(
        "name: trial\nruntime: {name: python, options: {virtualenv: venv}}\n"
    )
    done = project.preview()
    assert done.code != 0
    assert "runtime option virtualenv is 'venv'" in done.output
    assert "`pulumi install`" in done.output


def test_about_names_interpreter_and_plugins(project: Project) -> None:
    project.program("")
    shown = project.must("about")
    assert "written in python" in shown
    assert "docker-build" in shown
    assert "pulumi-random" in shown
    # An SDK whose plugin is not on PATH is left for the moment it is used.
    assert "kubernetes  4" not in shown.split("Host")[0]


def test_a_plugin_that_is_used_and_missing_is_named_not_downloaded(project: Project) -> None:
    project.program("import pulumi_random\npulumi_random.RandomUuid('u')\n")
    (project.tools / "pulumi-resource-random").unlink()
    done = project.preview()
    assert done.code != 0
    assert "no resource plugin 'pulumi-resource-random' found" in done.output


def test_installed_plugins_beside_the_cli_are_used_without_a_warning(project: Project) -> None:
    for path in project.tools.glob("pulumi-resource-*"):
        path.unlink()
    cli = (project.tools / "pulumi").resolve()
    (project.tools / "pulumi").unlink()
    shutil.copy(cli, project.tools / "pulumi")
    home = Path(project.environment["PULUMI_HOME"])
    write_plugin_cache(home, Path(sys.executable), find_checkout().root)
    project.program("import pulumi_random\npulumi_random.RandomUuid('u')\n")
    done = project.preview()
    assert done.code == 0
    assert "+ 2 to create" in done.output
    assert "warning" not in done.output


def test_an_interrupted_update_ends_quietly_and_can_be_repeated(
    project: Project, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    project.program(
        "import time, pulumi, pulumi_random as random\n"
        "first = random.RandomString('first', length=4)\n"
        "def wait(_):\n"
        f"    with open({str(started)!r}, 'w') as f: f.write('x')\n"
        "    time.sleep(100)\n"
        "if pulumi.Config().get_bool('wait'):\n"
        "    first.result.apply(wait)\n"
        "random.RandomString('second', length=4)\n"
    )
    project.config["wait"] = "true"
    with project.interrupted_up() as update:
        assert started.read_text() == "x"  # comes when the program is in the middle
        interrupt(update)
    assert not project.pending()
    before = project.resources()["first"]["id"]
    project.config["wait"] = "false"
    project.up()
    assert project.resources()["first"]["id"] == before
    assert set(project.resources()) == {"first", "second"}


def test_a_policy_pack_runs_through_the_host_and_stops_a_violation(
    project: Project, tmp_path: Path
) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\ndescription: lengths\n")
    (pack / "__main__.py").write_text(
        "from pulumi_policy import *\n"
        "def check(args, report):\n"
        "    if args.resource_type.endswith(':RandomPassword') and args.props['length'] < 16:\n"
        "        report(f'{args.name} is too short')\n"
        "PolicyPack('lengths', enforcement_level=EnforcementLevel.MANDATORY, policies=[\n"
        "    ResourceValidationPolicy('long', 'Passwords are long.', check)])\n"
    )
    project.program(
        "import pulumi, pulumi_random as random\n"
        "length = pulumi.Config().require_int('length')\n"
        "random.RandomPassword('short', length=length)\n"
    )
    project.config["length"] = "8"
    refused = project.preview("--policy-pack", str(pack))
    assert refused.code != 0
    assert "short is too short" in refused.output
    project.config["length"] = "16"
    assert project.preview("--policy-pack", str(pack)).code == 0
