"""Nothing refers to what a reader of the repository cannot open."""

import re
from pathlib import Path

import pytest

from tests.harness.repository import ROOT, texts

ELSEWHERE = re.compile(
    r"""
      §                                 # a paragraph of a paper that is not here
    | \banchors/ | \bseed\s\d | \b[Tt]he\sseeds\b
    | \b(?:design|datapath)\.md\b
    | (?<![\w.$}/])/(?:work|root|home/\w+)/ # a folder of one machine
    """,
    re.VERBOSE,
)
HERE = Path(__file__).relative_to(ROOT).as_posix()


def test_nothing_refers_to_papers_or_folders_that_readers_do_not_have():
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, text in texts().items()
        if path != HERE
        for number, line in enumerate(text.splitlines(), start=1)
        if ELSEWHERE.search(line)
    ]
    assert not found, "say the reason itself instead:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "as design.md §3 says",
        "the columns of seed 001",
        "see anchors/platform.md",
        "rule 5 of datapath.md",
        "the seeds name three topics",
        "logs are in /root/x.log",
    ],
)
def test_such_a_reference_is_noticed(line: str):
    assert ELSEWHERE.search(line)


@pytest.mark.parametrize(
    "line",
    ["random.Random(seed)", "from a fixed seed: bodies", "docs/configuration.md", "chroot/x"],
)
def test_ordinary_words_are_no_such_reference(line: str):
    assert not ELSEWHERE.search(line)
