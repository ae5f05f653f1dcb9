"""Files small enough to be read in one go. The exceptions are named, and may only become fewer."""

from tests.harness.repository import texts

MOST_LINES = 250

LARGER = {
    "bootstrap/images/build.py": "an image's recipe, build, cache and push in one sequence",
    "bootstrap/images/node/start-node": "the node's first process, one readable script: decision 9",
    "bootstrap/standins/docker_build.py": "the one resource type's life, from check to delete",
    "bootstrap/standins/language.py": "the language host's gRPC service has these methods",
    "bootstrap/standins/provider.py": "the provider's gRPC service has these methods",
    "bootstrap/standins/tls.py": "four resource types that share their fields",
    "bootstrap/tools.py": "what is built and how it is built are not parted yet",
}
"""Path to the reason why it is one file. To be shortened; nothing is added without a reason."""


def code() -> dict[str, int]:
    """Lines of every file of code outside of tests/."""
    return {
        path: len(text.splitlines())
        for path, text in texts().items()
        if not path.startswith("tests/") and (path.endswith(".py") or text.startswith("#!"))
    }


def test_a_file_of_code_has_at_most_250_lines():
    long = {p: n for p, n in code().items() if n > MOST_LINES and p not in LARGER}
    assert not long, f"more than {MOST_LINES} lines, split them by what they are about: {long}"


def test_an_exception_that_is_none_any_more_is_taken_off_the_list():
    sizes = code()
    stale = [path for path in LARGER if sizes.get(path, 0) <= MOST_LINES]
    assert not stale, f"small enough or gone, take them off LARGER: {stale}"
