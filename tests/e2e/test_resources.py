"""The resources API through the published port."""

import httpx

from loadtests.observers.api import total
from loadtests.traffic import RESOURCES
from tests.e2e.cluster import wait_for


def create(http: httpx.Client, name: str, **more: str) -> httpx.Response:
    return http.post(RESOURCES, json={"name": name, **more})


def test_a_resource_lives_from_post_to_delete(http: httpx.Client, prefix: str) -> None:
    created = create(http, prefix, description="first")
    assert created.status_code == 201
    resource = created.json()
    path = created.headers["Location"]
    assert path == f"{RESOURCES}/{resource['id']}"
    assert (resource["name"], resource["description"], resource["version"]) == (prefix, "first", 1)

    assert http.get(path).json() == resource
    body = {"name": prefix, "description": "second", "status": "inactive"}
    updated = http.put(path, json=body)
    assert updated.status_code == 200
    assert {key: updated.json()[key] for key in body} == body
    assert updated.json()["version"] == 2
    assert updated.json()["created_at"] == resource["created_at"]
    assert http.get(path).json() == updated.json()

    assert http.delete(path).status_code == 204
    assert http.get(path).status_code == 404
    assert http.put(path, json=body).status_code == 404
    assert http.delete(path).status_code == 404


def test_a_read_never_shows_an_older_version_than_the_last_acknowledged_one(
    http: httpx.Client, prefix: str
) -> None:
    """Both replicas and the cache between them: read your own write, fifty times."""
    path = create(http, prefix).headers["Location"]
    for version in range(2, 52):
        assert http.get(path).json()["version"] == version - 1
        body = {"name": prefix, "description": f"version {version}"}
        assert http.put(path, json=body).json()["version"] == version
        assert http.get(path).json()["description"] == f"version {version}"
    assert http.delete(path).status_code == 204


def test_a_second_read_is_served_from_the_cache(
    http: httpx.Client, api: httpx.Client, prefix: str
) -> None:
    def hits() -> float:
        return total(api, "rest-service", "cache_requests_total", result="hit")

    def all_of_twenty() -> bool:
        before = hits()
        for _ in range(20):
            assert http.get(path).json()["name"] == prefix
        return hits() - before >= 20

    path = create(http, prefix).headers["Location"]
    http.get(path)
    # A cache that is late by half a second once is left out, and for a minute after three times.
    wait_for("twenty reads in a row from the cache", all_of_twenty, seconds=150)
    assert http.delete(path).status_code == 204


def test_the_list_is_newest_first_and_its_pages_neither_repeat_nor_skip(
    http: httpx.Client, prefix: str
) -> None:
    made = [create(http, f"{prefix}-{number}").json()["id"] for number in range(7)]
    listed: list[str] = []
    query: dict[str, str] = {"limit": "3"}
    while len(listed) < 9:
        page = http.get(RESOURCES, params=query).json()
        listed += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert listed[:7] == made[::-1]
    for resource_id in made:
        assert http.delete(f"{RESOURCES}/{resource_id}").status_code == 204


def test_an_update_of_a_version_that_is_gone_is_refused(http: httpx.Client, prefix: str) -> None:
    created = create(http, prefix)
    path, etag = created.headers["Location"], created.headers["ETag"]
    body = {"name": prefix, "description": "mine"}
    assert http.put(path, json=body, headers={"If-Match": etag}).status_code == 200
    late = http.put(path, json=body, headers={"If-Match": etag})
    assert late.status_code == 412
    assert http.get(path).json()["version"] == 2
    assert http.delete(path).status_code == 204


def test_health_readiness_metrics_and_the_description_are_served(http: httpx.Client) -> None:
    assert http.get("/health").json()["status"] == "ok"
    assert http.get("/ready").json()["checks"] == {"database": "ok"}
    metrics = http.get("/metrics").text
    for name in ("http_requests_total", "http_request_duration_seconds", "db_pool_connections"):
        assert f"# TYPE {name.removesuffix('_total')}" in metrics
    paths = http.get("/openapi.json").json()["paths"]
    assert set(paths[RESOURCES]) == {"get", "post"}
    assert set(paths[f"{RESOURCES}/{{resource_id}}"]) == {"get", "put", "delete"}
