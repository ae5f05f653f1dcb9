"""Every page's links lead somewhere, and what pages and comments name exists."""

import re

import pytest

from infra.model.services import SERVICES
from tests.harness import markdown
from tests.harness.repository import ROOT, files, of_kind, texts

PAGES = of_kind(".md")
LINES = {path: text for path, text in texts().items() if not path.startswith("tests/")}
"""Everything but the tests, which make names up."""
TOP = sorted({path.partition("/")[0] for path in files() if "/" in path} - {".ci"})
A_PATH = rf"(?:{'|'.join(TOP)})/[\w./-]*\w"
A_MODULE = re.compile(rf"python -m ((?:{'|'.join(TOP)})(?:\.\w+)*)")
A_TARGET = re.compile(r"\bmake (?:-s )?([a-z][a-z0-9-]*)")


def missing(pattern: re.Pattern[str], exists: set[str]) -> list[str]:
    """What code style matches and is not there, with its page."""
    return [
        f"{page}: {name}"
        for page, text in PAGES.items()
        for span in markdown.code_of(text)
        for name in pattern.findall(span)
        if name not in exists
    ]


def test_relative_links_and_anchors_of_every_page_lead_somewhere():
    found = list(markdown.broken_links(PAGES, files()))
    assert not found, "\n".join(found)


def test_the_files_and_folders_that_pages_name_exist():
    assert not missing(re.compile(rf"^({A_PATH})/?$"), files())


def test_the_files_that_comments_and_messages_name_exist():
    named = re.compile(rf"(?<![\w./}}-]){A_PATH}\.(?:md|mod|py|sh|toml|ya?ml)\b")
    found = {(p, name) for p, text in LINES.items() for name in named.findall(text)}
    assert not {(path, name) for path, name in found if name not in files()}


def test_the_modules_that_pages_comments_and_messages_run_exist():
    modules = {
        path.removesuffix("/__main__.py").removesuffix(".py").replace("/", ".")
        for path in files()
        if path.endswith(".py")
    }
    named = {(p, name) for p, text in LINES.items() for name in A_MODULE.findall(text)}
    assert not {(path, name) for path, name in named if name not in modules}


def test_the_make_targets_that_pages_name_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert not missing(A_TARGET, set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.MULTILINE)))


def test_the_readmes_table_has_a_row_for_each_service_and_no_other():
    _, _, section = PAGES["README.md"].partition("\n## Services\n")
    row = re.compile(
        r"^\| `([\w-]+)` \| \[services/(\w+)\]\(.+\) \|.+\| ([^|]+) \|.+\|$", re.MULTILINE
    )
    assert sorted(row.findall(section.partition("\n## ")[0])) == sorted(
        (
            service.name,
            service.package,
            ", ".join(dict.fromkeys(f"`{use.name}`" for use in service.databases)) or "\N{EN DASH}",
        )
        for service in SERVICES
    )


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("[a](none.md)", "there is no docs/none.md"),
        ("[a](../README.md#none)", "has no heading with the anchor 'none'"),
        ("[a](#two-words-2)", "has no heading"),
        ("[a][b]\n\n[b]: none.md", "there is no docs/none.md"),
        ("![a](none.png)", "there is no docs/none.png"),
        ("[a](../../outside.md)", "there is no ../outside.md"),
    ],
)
def test_a_link_that_leads_nowhere_is_found(link: str, reason: str):
    pages = {"docs/a.md": f"# Two words\n\n## Two words\n\n{link}", "README.md": "# Top"}
    [found] = markdown.broken_links(pages, {*pages, "docs"})
    assert reason in found


@pytest.mark.parametrize(
    "link",
    [
        "[a](../README.md#the-top-of-it)",
        "[a](#two-words) [b](#two-words-1)",
        "[a](..)",
        "[a](https://example.com/none.md)",
        "`[a](none.md)`",
        "`` | `[a](none.md)`",
        "```\n[a](none.md)\n```",
    ],
)
def test_a_link_that_leads_somewhere_and_what_is_no_link_is_left_alone(link: str):
    pages = {
        "docs/a.md": f"# Two words\n\n## Two words\n\n{link}",
        "README.md": "# The `top` of [it](docs)",
    }
    assert not list(markdown.broken_links(pages, {*pages, "docs", "."}))
