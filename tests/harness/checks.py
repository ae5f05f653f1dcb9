"""What must hold for everything our components make: plain functions over a recording.

Each yields a sentence per violation. The component tests assert that a component yields none; the
mutation tests take a component's TLS, probe, limit, budget … away and assert that one is yielded.
"""

import base64
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import jsonschema
import pulumi
import referencing
import yaml
from kubernetes_validate.utils import schema_contents

import components
from components.kit.quantities import amount
from policies.resources import Resource
from policies.rule import evaluate
from policies.rules import RULES, STACK_RULES
from tests.harness.recording import Recording, Registered, walk

KUBERNETES = "1.36"
CLUSTER_SCOPED = ("Namespace", "ClusterRole", "ClusterRoleBinding")
WATCHING = ("prometheus", "collector")
"""Components whose pods ask the API what there is to watch."""
ENDS = ("CronJob", "Job", "PodTemplate")
"""What makes pods that run to their end: nothing probes them, and no budget keeps them."""


def component_classes() -> dict[str, type[pulumi.ComponentResource]]:
    """Name to class, of every component in the package."""
    found: dict[str, type[pulumi.ComponentResource]] = {}
    for module in pkgutil.walk_packages(components.__path__, "components."):
        for item in vars(importlib.import_module(module.name)).values():
            if (
                isinstance(item, type)
                and issubclass(item, pulumi.ComponentResource)
                and item.__module__ == module.name
            ):
                found[item.__name__] = item
    return found


def templates(recording: Recording) -> Iterator[tuple[Registered, dict[str, Any]]]:
    """Every object that makes pods, with its pod template."""
    for resource in recording.kubernetes():
        if resource.kind in ("Deployment", "StatefulSet", "Job"):
            yield resource, resource.inputs["spec"]["template"]
        elif resource.kind == "CronJob":
            yield resource, resource.inputs["spec"]["jobTemplate"]["spec"]["template"]
        elif resource.kind == "PodTemplate":
            yield resource, resource.inputs["template"]


def containers(recording: Recording) -> Iterator[tuple[Registered, dict[str, Any]]]:
    """Of every pod, sidecars included."""
    for resource, template in templates(recording):
        for container in _containers(template["spec"]):
            yield resource, container


def _containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def outputs_registered(recording: Recording) -> Iterator[str]:
    """Every component registers exactly its typed attributes, under their names."""
    classes = component_classes()
    for resource in recording.components():
        typed = {n for n in vars(classes[resource.kind]).get("__annotations__", ()) if n[0] != "_"}
        if resource.outputs is None:
            yield f"{resource.type} {resource.name} never called register_outputs"
        elif set(resource.outputs) != typed:
            yield f"{resource.type} registers {set(resource.outputs)}, its attributes are {typed}"


def parented(recording: Recording) -> Iterator[str]:
    """Every resource is a child of the component that makes it, so options reach it."""
    parents = {resource.urn for resource in recording.components()}
    for resource in recording.resources:
        if resource.custom and resource.parent not in parents:
            yield f"{resource.type} {resource.name} is not a child of a component"


def named(recording: Recording) -> Iterator[str]:
    """Explicit names, namespaces and our labels on every object."""
    for resource in recording.kubernetes():
        metadata = resource.inputs["metadata"]
        if not metadata.get("name"):
            yield f"{resource.kind} {resource.name} has no explicit name"
        if resource.kind not in CLUSTER_SCOPED and not metadata.get("namespace"):
            yield f"{resource.kind} {resource.name} has no namespace"
        part_of = metadata.get("labels", {}).get("app.kubernetes.io/part-of")
        if part_of != "millrace" and metadata["name"] != "default":
            yield f"{resource.kind} {resource.name} does not say that it is part of millrace"


def singular(recording: Recording) -> Iterator[str]:
    """No two objects of one kind have one name: on a cluster one would replace the other."""
    seen: dict[tuple[str, str, str], str] = {}
    for resource in recording.kubernetes():
        metadata = resource.inputs["metadata"]
        here = (resource.kind, metadata.get("namespace", ""), metadata["name"])
        if here in seen:
            yield f"{' '.join(here)} is made twice, by {seen[here]} and {resource.urn}"
        seen[here] = resource.urn


def valid(recording: Recording) -> Iterator[str]:
    """The API server of the pinned version would take every object."""
    for resource in recording.kubernetes():
        manifest = resource.manifest
        for error in _validator(manifest["kind"], manifest["apiVersion"]).iter_errors(manifest):
            yield f"{resource.kind} {resource.name}: {error.json_path}: {error.message}"


@cache
def _validator(kind: str, api_version: str) -> jsonschema.Draft202012Validator:
    """For one kind; `kubernetes_validate.validate` reads all schemas again on every call."""
    folder = f"kubernetes-json-schema/v{KUBERNETES}.0-local-strict"
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    schema = schema_contents(f"{folder}/{kind.lower()}-{group}.json", KUBERNETES)
    return jsonschema.Draft202012Validator(schema, registry=_definitions(folder))


@cache
def _definitions(folder: str) -> referencing.Registry[Any]:
    resource = referencing.Resource.from_contents(
        schema_contents(f"{folder}/_definitions.json", KUBERNETES)
    )
    return resource @ referencing.Registry()


def policies_hold(recording: Recording) -> Iterator[str]:
    """The project's own policy pack, `restricted` included."""
    resources = [Resource(r.type, r.name, r.inputs, r.protect) for r in recording.resources]
    for violation in evaluate(RULES, STACK_RULES, resources):
        yield str(violation)


def limited(recording: Recording) -> Iterator[str]:
    """Requests and limits of CPU, memory and local disk."""
    for resource, container in containers(recording):
        for side in ("requests", "limits"):
            given = container.get("resources", {}).get(side, {})
            for what in ("cpu", "memory", "ephemeral-storage"):
                if not given.get(what):
                    yield f"{resource.name}: no {side} for {what}"
    for resource, template in templates(recording):
        for volume in template["spec"].get("volumes", []):
            if "emptyDir" in volume and not volume["emptyDir"].get("sizeLimit"):
                yield f"{resource.name}: emptyDir {volume['name']} may fill the node's disk"


def probed(recording: Recording) -> Iterator[str]:
    """Startup with patience, real readiness, shallow liveness; a sidecar may go without any."""
    for resource, container in containers(recording):
        if resource.kind in ENDS:
            continue
        missing = [
            n for n in ("startup", "readiness", "liveness") if not container.get(f"{n}Probe")
        ]
        if container.get("restartPolicy") == "Always" and len(missing) == 3:
            continue
        for name in missing:
            yield f"{resource.name}: no {name} probe"
        if missing:
            continue
        readiness, liveness, startup = (
            container["readinessProbe"],
            container["livenessProbe"],
            container["startupProbe"],
        )
        if readiness.get("tcpSocket"):
            yield f"{resource.name}: readiness only sees that a port is open"
        if _action(liveness) == _action(readiness):
            yield f"{resource.name}: liveness asks what readiness asks"
        if startup["periodSeconds"] * startup["failureThreshold"] < 60:
            yield f"{resource.name}: a start may take less than a minute"
        if liveness["periodSeconds"] * liveness["failureThreshold"] < 30:
            yield f"{resource.name}: liveness restarts a pod that was busy for half a minute"


def _action(probe: dict[str, Any]) -> dict[str, Any]:
    return {key: probe[key] for key in ("httpGet", "exec", "grpc", "tcpSocket") if probe.get(key)}


def tokenless(recording: Recording) -> Iterator[str]:
    """No pod can talk to the API server but who asked for it, and none is told where other Services
    are."""
    for resource in recording.of("ServiceAccount"):
        if resource.inputs.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount {resource.name} mounts its token"
    accounts = {r.inputs["metadata"]["name"] for r in recording.of("ServiceAccount")}
    for resource, template in templates(recording):
        spec = template["spec"]
        asked = template["metadata"]["labels"]["app.kubernetes.io/component"] in WATCHING
        if spec.get("automountServiceAccountToken") is not asked:
            yield f"{resource.name}: pods mount a token"
        if spec.get("serviceAccountName") not in accounts:
            yield f"{resource.name}: pods have no ServiceAccount of their own"
        if spec.get("enableServiceLinks") is not False:
            yield f"{resource.name}: pods get a variable per Service"


def secretive(recording: Recording) -> Iterator[str]:
    """Secret values are marked secret, and appear nowhere but in Secrets."""
    for resource in recording.of("Secret"):
        if not resource.inputs.get("data"):
            yield f"Secret {resource.name} is empty"
        if not any(path.startswith("data") for path in resource.secret_paths):
            yield f"Secret {resource.name}: its data is stored in plain text"
    values = _secret_values(recording)
    for resource in recording.kubernetes():
        shown = resource.inputs["metadata"] if resource.kind == "Secret" else resource.inputs
        text = "\n".join(str(value) for value in walk(shown))
        if any(value in text for value in values):
            yield f"{resource.kind} {resource.name} shows a secret value"
    for component in recording.components():
        for name, value in (component.outputs or {}).items():
            hidden = "PRIVATE KEY" in str(value) or str(value) in values
            if hidden and name not in component.secret_outputs:
                yield f"{component.type} {component.name}: its output {name} is not marked secret"


def _secret_values(recording: Recording) -> set[str]:
    """What Secrets hold, as written there and decoded; certificates are public."""
    encoded = {
        value
        for resource in recording.of("Secret")
        for key, value in resource.inputs.get("data", {}).items()
        if key not in ("tls.crt", "ca.crt")
    }
    return encoded | {base64.b64decode(value).decode().strip() for value in encoded}


def budgeted(recording: Recording) -> Iterator[str]:
    """Replicas have a budget that lets exactly one pod go; a single replica has none."""
    budgets = {
        r.inputs["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]: r.inputs["spec"]
        for r in recording.of("PodDisruptionBudget")
    }
    ranges = {
        r.inputs["spec"]["scaleTargetRef"]["name"]: r.inputs["spec"]["maxReplicas"]
        for r in recording.of("HorizontalPodAutoscaler")
    }
    for resource, _ in templates(recording):
        if resource.kind in ENDS:
            continue
        name = resource.inputs["metadata"]["name"]
        replicas = resource.inputs["spec"].get("replicas", ranges.get(name, 1))
        budget = budgets.get(name)
        if replicas == 1 and budget:
            yield f"{resource.name}: a budget on one replica blocks every drain"
        if replicas > 1 and not budget:
            yield f"{resource.name}: {replicas} replicas without a budget"
        if replicas > 1 and budget:
            allowed = budget.get("maxUnavailable", replicas - budget.get("minAvailable", 0))
            if allowed != 1:
                yield f"{resource.name}: its budget lets {allowed} of {replicas} go"
            if budget.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
                yield f"{resource.name}: pods that are broken anyway block a drain"


def rolls(recording: Recording) -> Iterator[str]:
    """Pods roll when a mounted file changes, one at a time, and get time to finish."""
    for resource, template in templates(recording):
        if not template["metadata"].get("annotations", {}).get("millrace.dev/config-hash"):
            yield f"{resource.name}: a changed file would not reach its pods"
        spec = template["spec"]
        grace = spec.get("terminationGracePeriodSeconds", 30)
        alone = resource.kind == "Deployment" and _never_two(resource)
        if resource.kind == "Deployment" and not alone:
            rolling = resource.inputs["spec"]["strategy"]["rollingUpdate"]
            if (rolling["maxUnavailable"], rolling["maxSurge"]) != (0, 1):
                yield f"{resource.name}: a rollout takes pods away first"
            sleep = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep")
            if not sleep:
                yield f"{resource.name}: stops while proxies still send it requests"
            elif sleep["seconds"] >= grace:
                yield f"{resource.name}: is killed while it drains"
        if resource.kind == "StatefulSet" and grace < 30:
            yield f"{resource.name}: {grace} s is not enough to close its files"
        several = not alone and resource.kind not in ("Job", "CronJob")
        if several and not spec.get("topologySpreadConstraints"):
            yield f"{resource.name}: its replicas may share one node"


def _never_two(deployment: Registered) -> bool:
    """Two would write the same, and nobody calls it: the old pod is gone before the next starts."""
    spec = deployment.inputs["spec"]
    return spec["replicas"] == 1 and spec["strategy"] == {"type": "Recreate"}


def mounted(recording: Recording) -> Iterator[str]:
    """Every mount has its volume, and every volume that is a Secret or ConfigMap has an owner."""
    for resource, template in templates(recording):
        spec = template["spec"]
        volumes = {v["name"]: v for v in spec.get("volumes", [])}
        if len(volumes) != len(spec.get("volumes", [])):
            yield f"{resource.name}: two volumes of one name"
        claims = {
            c["metadata"]["name"]: c
            for c in resource.inputs.get("spec", {}).get("volumeClaimTemplates", [])
        }
        for mount in (m for c in _containers(spec) for m in c.get("volumeMounts", [])):
            if mount["name"] not in volumes and mount["name"] not in claims:
                yield f"{resource.name}: mounts {mount['name']}, which is no volume"
            source = volumes.get(mount["name"], {})
            writable = {"emptyDir", "persistentVolumeClaim"} & source.keys()
            writable = writable or mount["name"] in claims
            if not writable and mount.get("readOnly") is not True:
                yield f"{resource.name}: {mount['mountPath']} is not read-only"
        for volume in volumes.values():
            if "secret" in volume and volume["secret"].get("defaultMode") != 0o440:
                yield f"{resource.name}: {volume['name']} can be read by others"


def encrypted(recording: Recording) -> Iterator[str]:
    """Every server listens with TLS only, with a certificate for the name clients call it by."""
    for resource in recording.of("StatefulSet"):
        yield from (f"{resource.name}: {finding}" for finding in _server_tls(recording, resource))


def _server_tls(recording: Recording, server: Registered) -> Iterator[str]:
    volumes = server.inputs["spec"]["template"]["spec"]["volumes"]
    secrets = {v["secret"]["secretName"] for v in volumes if "secret" in v}
    leaf = [r for r in recording.of("Secret") if r.inputs["metadata"]["name"] in secrets]
    if not any("tls.key" in secret.inputs["data"] for secret in leaf):
        yield "mounts no certificate"
    config = recording.one("ConfigMap", f"{server.name}-config").inputs["data"]
    match server.inputs["metadata"]["labels"]["app.kubernetes.io/component"]:
        case "kafka":
            yield from _kafka_tls(config["server.properties"])
        case "postgres":
            yield from _postgres_tls(config["postgresql.conf"], config["pg_hba.conf"])
        case "mysql":
            yield from _mysql_tls(config["my.cnf"], config["start.sh"])
        case "redis":
            yield from _redis_tls(config["redis.conf"])
        case "proxysql":
            held = recording.one("Secret", f"{server.name}-routes").inputs["data"]
            routes = {name: base64.b64decode(text).decode() for name, text in held.items()}
            yield from _proxysql_tls(config["proxysql.cnf"], routes)
        case "prometheus" | "alertmanager":
            container = server.inputs["spec"]["template"]["spec"]["containers"][0]
            yield from _web_tls(config["web.yml"], container["command"])
        case "loki":
            yield from _loki_tls(config["loki.yaml"])
        case "grafana":
            yield from _grafana_tls(server)
        case other:
            yield f"no TLS check knows a server of the kind {other}"


def _loki_tls(text: str) -> Iterator[str]:
    listens = yaml.safe_load(text)["server"]
    if not listens.get("http_tls_config") or listens["grpc_listen_address"] != "127.0.0.1":
        yield "listens without TLS"


def _grafana_tls(server: Registered) -> Iterator[str]:
    container = server.inputs["spec"]["template"]["spec"]["containers"][0]
    if {"name": "GF_SERVER_PROTOCOL", "value": "https"} not in container["env"]:
        yield "listens without TLS"


def properties(text: str) -> dict[str, str]:
    """Lines of `key=value` or `key = value`."""
    pairs = (line.partition("=") for line in text.splitlines() if line and line[0] != "#")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _kafka_tls(text: str) -> Iterator[str]:
    found = properties(text)
    protocols = dict(pair.split(":") for pair in found["listener.security.protocol.map"].split(","))
    for listener in found["listeners"].split(","):
        name = listener.partition(":")[0]
        if protocols[name] not in ("SSL", "SASL_SSL"):
            yield f"listener {name} speaks {protocols[name]}"
        certificate = found.get(
            f"listener.name.{name.lower()}.ssl.client.auth", found.get("ssl.client.auth")
        )
        if protocols[name] == "SSL" and certificate != "required":
            yield f"listener {name} lets in clients without password and certificate"
    if found.get("ssl.endpoint.identification.algorithm") != "https":
        yield "nodes do not check each other's names"
    if found.get("allow.everyone.if.no.acl.found") != "false":
        yield "topics without an ACL are open"
    if "StandardAuthorizer" not in found.get("authorizer.class.name", ""):
        yield "nobody authorizes anything"


def _postgres_tls(conf: str, hba: str) -> Iterator[str]:
    if properties(conf).get("ssl") != "on":
        yield "ssl is off"
    rules = [line.split() for line in hba.splitlines() if line and line[0] != "#"]
    for kind, *_, method in rules:
        if kind not in ("local", "hostssl"):
            yield f"pg_hba admits {kind}, without TLS"
        if (kind, method) not in (("local", "peer"), ("hostssl", "scram-sha-256")):
            yield f"pg_hba admits {kind} by {method}"


def _mysql_tls(conf: str, start: str) -> Iterator[str]:
    found = properties(conf)
    if found.get("require_secure_transport") != "ON":
        yield "takes passwords without TLS"
    if not {"ssl_cert", "ssl_key"} <= found.keys():
        yield "has no certificate of ours, and would make its own"
    if found.get("mysqlx") != "OFF":
        yield "listens with a second protocol"
    for line in start.splitlines():
        account = line.split('"')[1] if line.strip().startswith("account ") else "@localhost"
        if not account.endswith("@localhost") and "REQUIRE SSL" not in line:
            yield f"lets {account} in without TLS"


def _proxysql_tls(conf: str, routes: dict[str, str]) -> Iterator[str]:
    found = properties(conf)
    if found.get("have_ssl") != '"true"':
        yield "offers no TLS"
    if "/run/" not in found.get("mysql_ifaces", ""):
        yield "its administrator listens on a port"
    if not found.get("ssl_p2s_ca"):
        yield "does not check the servers' certificates"
    for file, what in (("accounts.cnf", "username="), ("routes.cnf", "address=")):
        for line in routes[file].splitlines():
            if what in line and "use_ssl=1" not in line:
                yield f"{file} has one without TLS"


def _web_tls(conf: str, command: list[str]) -> Iterator[str]:
    found = yaml.safe_load(conf).get("tls_server_config", {})
    if not {"cert_file", "key_file"} <= found.keys():
        yield "has no certificate"
    if not any(word.startswith("--web.config.file=") for word in command):
        yield "listens without TLS"


def _redis_tls(conf: str) -> Iterator[str]:
    lines = dict(line.split(" ", 1) for line in conf.splitlines())
    if lines.get("port") != "0":
        yield "listens without TLS"
    if not lines.get("tls-port"):
        yield "does not listen with TLS"
    if not lines.get("aclfile"):
        yield "has no ACL file"


def certified(recording: Recording) -> Iterator[str]:
    """Certificates name every Service of their server, renew early, and use modern keys."""
    for resource in recording.of("PrivateKey"):
        if (resource.inputs["algorithm"], resource.inputs.get("ecdsaCurve")) != ("ECDSA", "P256"):
            yield f"{resource.name}: not an ECDSA P-256 key"
    for kind in ("SelfSignedCert", "LocallySignedCert"):
        for resource in recording.of(kind):
            if not resource.inputs.get("earlyRenewalHours"):
                yield f"{resource.name}: is renewed only after it has expired"
    names = {n for r in recording.of("CertRequest") for n in r.inputs.get("dnsNames", [])}
    servers = {r.inputs["metadata"]["name"] for r in recording.of("StatefulSet")}
    for service in recording.of("Service"):
        metadata = service.inputs["metadata"]
        kind = metadata["labels"]["app.kubernetes.io/component"]
        wanted = f"{metadata['name']}.{metadata['namespace']}.svc"
        headless = service.inputs["spec"].get("clusterIP") == "None"
        if metadata["name"] in servers and not headless and wanted not in names:
            yield f"no certificate names {wanted}"
        if kind == "kafka" and headless and f"*.{wanted}.cluster.local" not in names:
            yield f"no certificate names the nodes behind {wanted}"


def kept(recording: Recording) -> Iterator[str]:
    """A StatefulSet with a claim says what becomes of it, and mounts it where its data goes."""
    for resource in recording.of("StatefulSet"):
        spec = resource.inputs["spec"]
        mounts = {
            m["name"]: m["mountPath"]
            for m in spec["template"]["spec"]["containers"][0]["volumeMounts"]
        }
        for claim in spec.get("volumeClaimTemplates", []):
            if amount(claim["spec"]["resources"]["requests"]["storage"]) <= 0:
                yield f"{resource.name}: claims nothing"
            if claim["metadata"]["name"] not in mounts:
                yield f"{resource.name}: does not mount its claim"
            policy = spec.get("persistentVolumeClaimRetentionPolicy", {})
            if not policy.get("whenDeleted") or not policy.get("whenScaled"):
                yield f"{resource.name}: does not say what becomes of its claims"


Check = Callable[[Recording], Iterator[str]]
CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        outputs_registered,
        parented,
        named,
        singular,
        valid,
        policies_hold,
        limited,
        probed,
        tokenless,
        secretive,
        budgeted,
        rolls,
        mounted,
        encrypted,
        certified,
        kept,
    )
}


def findings(recording: Recording) -> dict[str, list[str]]:
    """Name of each check that found something, to what it found."""
    found = {name: list(check(recording)) for name, check in CHECKS.items()}
    return {name: sentences for name, sentences in found.items() if sentences}
