"""Requests from within a pod, to itself: the API server's proxy keeps Authorization for itself."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from bootstrap.kube import Kube

_SCRIPT = """
import http.client, json, sys
given = json.load(sys.stdin)
for body in given["bodies"]:
    asked = http.client.HTTPConnection("127.0.0.1", 8080, timeout=30)
    headers = {"Content-Type": "application/json", "Authorization": given["authorization"]}
    asked.request("POST", given["path"], json.dumps(body), headers)
    answer = asked.getresponse()
    print(json.dumps([answer.status, {k.lower(): v for k, v in answer.getheaders()}]))
"""


class Answer(NamedTuple):
    """Headers by their names in lower case."""

    status: int
    headers: dict[str, str]


def post_inside(
    kube: Kube, pod: str, path: str, bodies: Sequence[Any], authorization: str
) -> list[Answer]:
    """POST each body to a pod of a service, one after the other."""
    given = {"path": path, "bodies": bodies, "authorization": authorization}
    command = ("exec", "-i", "-n", "apps", pod, "--", "python", "-c", _SCRIPT)
    output = kube.run(*command, stdin=json.dumps(given), timeout=180)
    return [Answer(*json.loads(line)) for line in output.splitlines()]
