"""Run in a copy of the repository: what the program gives the new service, as JSON."""

import json
import sys

from tests.harness.composed import composed


def main(name: str) -> None:
    recording = composed("airgap")
    container = recording.one("Deployment", name).manifest["spec"]["template"]["spec"]["containers"]
    migration = next(j for j in recording.of("Job") if j.name == "migrate-auditdb" and j.custom)
    spec = json.loads(
        recording.one("ConfigMap", "kafka-provision-spec").inputs["data"]["spec.json"]
    )
    json.dump(
        {
            "command": container[0]["command"],
            "env": {row["name"]: row.get("value") for row in container[0]["env"]},
            "migrate": migration.manifest["spec"]["template"]["spec"]["containers"][0]["command"],
            "user": next(user for user in spec["users"] if user["name"] == name),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(sys.argv[1])
