"""The random stand-in with the SDK's own classes, through the whole life of its resources."""

import re

from tests.integration.standins.project import Project

PROGRAM = """
import pulumi, pulumi_random as random
config = pulumi.Config()
keepers = {"epoch": config.get("epoch") or "1"}
password = random.RandomPassword("password", length=20, min_numeric=2, override_special="_",
                                 keepers=keepers)
text = random.RandomString("text", length=config.get_int("length") or 6, special=False)
number = random.RandomInteger("number", min=1, max=9)
given = random.RandomId("id", byte_length=4, prefix=text.result.apply(lambda t: t + "-"))
raw = random.RandomBytes("bytes", length=8)
unique = random.RandomUuid("uuid", keepers={"password": password.result})
pulumi.export("password", password.result)
pulumi.export("hash", password.bcrypt_hash)
pulumi.export("text", text.result)
pulumi.export("id", given.hex)
pulumi.export("bytes", raw.hex)
pulumi.export("uuid", unique.result)
"""


def test_random_resources_live_as_with_the_official_provider(project: Project) -> None:
    project.program(PROGRAM)
    # Nothing is made yet: prefix and keepers are unknown here.
    assert set(project.steps().values()) == {"create"}

    project.up()
    first = project.outputs()
    assert re.fullmatch(r"[A-Za-z0-9_]{20}", first["password"])
    assert first["id"].startswith(first["text"] + "-")
    stored = project.exported()
    for hidden in ("password", "hash", "bytes"):
        assert first[hidden] not in stored
    project.unchanged()

    project.config["epoch"] = "2"
    assert "2 replaced" in project.up()
    second = project.outputs()
    replaced = {name for name in first if first[name] != second[name]}
    assert replaced == {"password", "hash", "uuid"}

    project.must("refresh", "--yes", "--skip-preview")
    assert project.outputs() == second
    project.unchanged()

    project.must("destroy", "--yes", "--skip-preview")
    assert project.resources() == {}


def test_a_wrong_input_and_an_unserved_type_fail_the_preview_by_name(project: Project) -> None:
    project.program(
        "import pulumi_random as random\nrandom.RandomPassword('wrong', length=2, min_lower=3)\n"
    )
    wrong = project.preview()
    assert wrong.code != 0
    assert "length is 2, less than minLower" in wrong.output
    project.program("import pulumi_random as random\nrandom.RandomPet('pet')\n")
    unserved = project.preview()
    assert unserved.code != 0
    assert "the resource type random:index/randomPet:RandomPet is not served" in unserved.output
    assert "put the official pulumi-resource-random on PATH" in unserved.output
