"""Pod Security Standard `restricted`, in full but for one folder of the node that is lent to who
asks for it, and what this project asks for beyond it.

Source: kubernetes.io/docs/concepts/security/pod-security-standards (Linux pods). The API server
enforces the standard too, by the label of the namespace; here a violation shows in the preview.
"""

from collections.abc import Iterator
from typing import Final

from policies.resources import Pod, Resource, Table, pod_of, rows, table
from policies.rule import Rule

_VOLUMES: Final = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    }
)
_SELINUX_TYPES: Final = ("container_t", "container_init_t", "container_kvm_t", "container_engine_t")
READS_NODE_LOGS: Final = "millrace.dev/node-logs"
"""Annotation of a pod and of its namespace: the node lends it the folder of its pods' logs."""
LENT_TO: Final = "logging"
"""The one namespace where it does."""
_NODE_LOGS: Final = "/var/log/pods"
TALKS_TO_API: Final = "millrace.dev/api-token"
"""Pod annotation: a token of the Kubernetes API was asked for."""
_LOWEST_ID: Final = 10000


def _effective(pod: Pod, container: Table, key: str) -> object:
    """The container's setting, else the pod's: how the kubelet reads a security context."""
    own = table(container, "securityContext")
    return own[key] if key in own else table(pod.spec, "securityContext").get(key)


def restricted(resource: Resource) -> Iterator[str]:
    pod = pod_of(resource)
    if pod is None:
        return
    yield from _pod_level(pod, resource.namespace)
    for name, container in pod.containers():
        for check in (_identity, _isolation, _host_access):
            yield from (f"container {name}: {finding}" for finding in check(pod, container))


def _pod_level(pod: Pod, namespace: object) -> Iterator[str]:
    lent = namespace == LENT_TO and READS_NODE_LOGS in pod.annotations
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(key):
            yield f"shares a namespace of the host: {key} is set; remove it"
    for volume in rows(pod.spec, "volumes"):
        kinds = set(volume) - {"name"}
        if kinds == {"hostPath"} and lent:
            yield from _lent(pod, volume)
        elif not kinds <= _VOLUMES:
            forbidden = ", ".join(sorted(kinds - _VOLUMES))
            yield f"volume {volume.get('name')}: kind {forbidden} is not allowed by restricted"
    for sysctl in rows(pod.spec, "securityContext", "sysctls"):
        if sysctl.get("name") not in _SYSCTLS:
            yield f"sysctl {sysctl.get('name')} is not one of the safe ones; remove it"


def _lent(pod: Pod, volume: Table) -> Iterator[str]:
    """The one exception, for who collects logs: one folder of the node, which it cannot change."""
    if table(volume, "hostPath") != {"path": _NODE_LOGS, "type": "Directory"}:
        yield (
            f"volume {volume.get('name')}: {table(volume, 'hostPath').get('path')} is the node's; "
            f"only the Directory {_NODE_LOGS} is lent"
        )
    for name, container in pod.containers():
        for mount in rows(container, "volumeMounts"):
            if mount.get("name") != volume.get("name"):
                continue
            if mount.get("readOnly") is not True or "mountPropagation" in mount:
                yield (
                    f"container {name}: may change the node's files; set readOnly on the "
                    "mount, and no mountPropagation"
                )


def _identity(pod: Pod, container: Table) -> Iterator[str]:
    if _effective(pod, container, "runAsNonRoot") is not True:
        yield "may run as root; set runAsNonRoot"
    if _effective(pod, container, "runAsUser") == 0:
        yield "runs as root; set runAsUser to something above 10000"
    if table(container, "securityContext").get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges; set allowPrivilegeEscalation to false"
    if table(container, "securityContext").get("privileged"):
        yield "is privileged; remove it"
    capabilities = table(container, "securityContext", "capabilities")
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "keeps capabilities; drop ALL"
    added = set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}
    if added:
        yield f"adds capability {', '.join(sorted(added))}; only NET_BIND_SERVICE is allowed"


def _isolation(pod: Pod, container: Table) -> Iterator[str]:
    seccomp = table(_effective(pod, container, "seccompProfile")).get("type")
    if seccomp not in ("RuntimeDefault", "Localhost"):
        yield "has no seccomp profile; set seccompProfile.type to RuntimeDefault"
    apparmor = table(_effective(pod, container, "appArmorProfile")).get("type", "RuntimeDefault")
    if apparmor not in ("RuntimeDefault", "Localhost"):
        yield f"appArmorProfile {apparmor} switches AppArmor off; remove it"
    selinux = table(_effective(pod, container, "seLinuxOptions"))
    if selinux.get("user") or selinux.get("role"):
        yield "sets an SELinux user or role; remove it"
    if selinux.get("type", "") not in ("", *_SELINUX_TYPES):
        yield f"SELinux type {selinux['type']} is not allowed by restricted"


def _host_access(pod: Pod, container: Table) -> Iterator[str]:
    if table(container, "securityContext").get("procMount", "Default") != "Default":
        yield "unmasks /proc; remove procMount"
    if any(port.get("hostPort") for port in rows(container, "ports")):
        yield "takes a port of the host; remove hostPort"
    if table(_effective(pod, container, "windowsOptions")).get("hostProcess"):
        yield "is a Windows host process; remove it"
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        for action in ("httpGet", "tcpSocket"):
            if table(container, probe, action).get("host"):
                yield f"{probe} names a host and so probes something else; remove it"


def high_ids(resource: Resource) -> Iterator[str]:
    """No uid or gid that could be someone's on the host."""
    pod = pod_of(resource)
    for name, container in pod.containers() if pod else ():
        for key in ("runAsUser", "runAsGroup"):
            value = _effective(pod, container, key) if pod else None
            if not isinstance(value, int | float) or value <= _LOWEST_ID:
                yield f"container {name}: {key} is {value}; set it above {_LOWEST_ID}"


def no_token(resource: Resource) -> Iterator[str]:
    """What does not talk to the Kubernetes API carries no key to it; what does says so."""
    if resource.kind == "ServiceAccount":
        if resource.props.get("automountServiceAccountToken") is not False:
            yield "hands its token to every pod; set automountServiceAccountToken to false"
        return
    pod = pod_of(resource)
    if pod is None:
        return
    asked = pod.annotations.get(TALKS_TO_API) and pod.spec.get("automountServiceAccountToken")
    if not asked and pod.spec.get("automountServiceAccountToken") is not False:
        yield (
            "mounts a service account token; set automountServiceAccountToken to false, or say "
            f"with the annotation {TALKS_TO_API} that its pods talk to the API"
        )
    if pod.spec.get("serviceAccountName", "default") == "default":
        yield "runs as the default service account; give the workload its own"


RULES: Final = (
    Rule("pod-security-restricted", "PSS restricted; of nodes only the logs, to read.", restricted),
    Rule("high-ids", "User and group ids above 10000.", high_ids),
    Rule("no-token", "No token is mounted; every workload has its own account.", no_token),
)
