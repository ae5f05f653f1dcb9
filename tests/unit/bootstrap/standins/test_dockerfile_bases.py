import pytest

from bootstrap.standins.dockerfile_bases import base_images


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("FROM debian:13\nRUN x", {}, ["debian:13"]),
        ("FROM scratch\nCOPY a b", {}, []),
        ("ARG BASE=debian:13\nFROM ${BASE}", {}, ["debian:13"]),
        ("ARG BASE=debian:13\nFROM $BASE", {"BASE": "alpine@sha256:1"}, ["alpine@sha256:1"]),
        ("ARG V\nFROM debian:${V:-12}", {}, ["debian:12"]),
        ('ARG V="13"\nARG BASE=debian:$V\nFROM $BASE', {}, ["debian:13"]),
        ("FROM a:1 AS build\nFROM b:1\nCOPY --from=build /x /x", {}, ["a:1", "b:1"]),
        ("from a:1 as Build\nFROM build", {}, ["a:1"]),
        ("FROM a:1\nCOPY --from=c:1 /x /x\nCOPY --from=0 /y /y", {}, ["a:1", "c:1"]),
        ("FROM --platform=linux/amd64 \\\n  a:1 AS x", {}, ["a:1"]),
        ("FROM a:1\nARG B=z\nFROM a:1", {}, ["a:1"]),
        ("# FROM no:1\nFROM yes:1", {}, ["yes:1"]),
        ("ARG BASE\nFROM ${BASE}", {}, []),
    ],
)
def test_the_images_a_dockerfile_builds_on(
    text: str, arguments: dict[str, str], expected: list[str]
) -> None:
    assert base_images(text, arguments) == expected
