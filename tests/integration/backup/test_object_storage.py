"""Backups in a bucket of a real S3 server, over TLS."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.authority import Authority, eventually
from tests.integration.backup.bucket import Bucket, cut_after, start_bucket
from tests.integration.backup.conftest import Server
from tests.integration.backup.pod import SECRETS
from tests.integration.containers import Containers


@pytest.fixture(scope="module")
async def bucket(containers: Containers, authority: Authority) -> Bucket:
    return await start_bucket(containers, authority)


async def test_backups_are_taken_listed_proven_restored_and_pruned_in_a_bucket(
    server: Server, bucket: Bucket
) -> None:
    await server.fill()
    pod, there = server.pod, {"storage": bucket.storage(server.pod)}
    async with pod.archiver(**there):
        name = await pod.take("--drill", **there)
        await server.add("first")
        moment = await server.now()
        await server.add("second")

        async def reached() -> bool:  # once the archive in the bucket goes so far
            return (await pod.act("pitr", "--to", moment.isoformat(), **there)).code == 0

        await eventually(reached, 120)
    assert await server.said() == ["a", "b", "first"]
    assert (await pod.backups(**there))[0]["proven"]
    await pod.restore(name, **there)
    assert await server.said() == ["a", "b"]
    newest = await pod.take("--drill", **there)
    await pod.do("prune", retention={"count": 1, "days": 0}, **there)
    assert [row["backup"] for row in await pod.backups(**there)] == [newest]
    assert not [key for key in bucket.stored() if name in key]
    assert pod.stored() == []  # nothing on the pod's own folder
    assert all(key.startswith("stacks/") for key in bucket.stored())


async def test_a_wrong_key_and_a_missing_bucket_are_refused_with_a_sentence(
    server: Server, bucket: Bucket
) -> None:
    await server.fill()
    pod = server.pod
    before = bucket.stored()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"secret_key_file": f"{SECRETS}/identity"}, "signature"),
        ({"access_key_file": f"{SECRETS}/identity"}, "access key"),
        ({"access_key_file": f"{SECRETS}/none"}, f"{SECRETS}/none"),
        ({"bucket": "nobodys"}, "bucket does not exist"),
        ({"endpoint": "https://localhost:1"}, "connection refused"),
        ({"ca_file": f"{SECRETS}/other-ca"}, "certificate"),
    ]
    for changes, says in cases:
        storage = bucket.storage(pod, **changes)
        for action in (("take",), ("list",)):
            reason = await pod.refused(*action, storage=storage)
            assert says in reason.lower(), reason
            assert "AGE-SECRET-KEY" not in reason
    assert bucket.stored() == before


async def test_a_connection_that_is_cut_during_an_upload_leaves_no_backup(
    server: Server, bucket: Bucket
) -> None:
    await server.fill()
    await server.grow(4)
    pod = server.pod
    own: dict[str, Any] = {"prefix": f"cut/{pod.engine}"}
    async with cut_after(1_000_000, bucket.port) as port:
        storage = bucket.storage(pod, port, **own)
        reason = await pod.refused("take", storage=storage)
        assert f"localhost:{port}/backups" in reason
    there = {"storage": bucket.storage(pod, **own)}
    assert await pod.backups(**there) == []
    left = [key for key in bucket.stored() if key.startswith(own["prefix"])]
    assert not [key for key in left if "base.tar" in key or ".sql" in key]
    name = await pod.take("--drill", **there)
    async with cut_after(300, bucket.port) as port:
        storage = bucket.storage(pod, port, **own)
        assert f"localhost:{port}" in await pod.refused(
            "restore", "--backup", name, storage=storage
        )
    assert await server.left() == []
    await pod.restore(name, **there)
