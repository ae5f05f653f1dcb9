"""What the end-to-end tests do to the cluster, and how they see that it is whole again."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import docker
import httpx

from bootstrap import status
from bootstrap.kube import Kube, KubeError
from tests.harness import asking

NAMESPACES = ("data", "apps", "monitoring")
NOISE = ("Connection refused", "unexpected eof while reading")
"""In logs: of servers that come and go, and of probes that connect and say nothing."""
SIGKILL_EXIT = 137  # 128 + 9, what the kubelet reports for a process ended by SIGKILL

T = TypeVar("T")


def wait_for(what: str, probe: Callable[[], T | None], *, seconds: float, pause: float = 0.3) -> T:
    """Ask until the probe gives something true, at most ``seconds``.

    Raises:
        TimeoutError: it never did; the text names what was waited for and the last failure.
    """
    deadline = time.monotonic() + seconds
    last = ""
    while True:
        try:
            if found := probe():
                return found
        except KubeError as error:
            last = f" (last: {error})"
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}{last}")
        time.sleep(pause)


def patiently(ask: Callable[[], httpx.Response], seconds: float = 60) -> httpx.Response:
    """What is answered in the end; each 503 before it has to say when to come again."""

    def asked() -> httpx.Response:
        answer = ask()
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
        return answer

    return asking.patiently(asked, seconds)


def unsettled(kube: Kube) -> list[str]:
    """What is not as it should be: workloads short of pods, or pods on their way out."""
    found = status.workloads(kube.items("deployments,statefulsets"))
    short = [f"{w.namespace}/{w.name} {w.ready}/{w.desired}" for w in found if not w.fine]
    leaving = [
        f"{pod['metadata']['name']} is terminating"
        for namespace in NAMESPACES
        for pod in kube.items("pods", namespace)
        if "deletionTimestamp" in pod["metadata"]
    ]
    return short + leaving


def wait_until_settled(kube: Kube, *, seconds: float) -> None:
    """Every workload has its ready pods and none is leaving.

    Raises:
        TimeoutError: it did not come to that; the text names what is missing.
    """
    missing = ["nothing asked yet"]

    def whole() -> bool:
        missing[:] = unsettled(kube)
        return not missing

    try:
        wait_for("the platform to be whole", whole, seconds=seconds)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {', '.join(missing)}") from None


def pods_of(kube: Kube, namespace: str, workload: str) -> list[Any]:
    """The pods of a workload that are not on their way out, oldest first."""
    found = kube.items("pods", namespace)
    ours = [
        pod
        for pod in found
        if pod["metadata"].get("labels", {}).get("app.kubernetes.io/name") == workload
        and "deletionTimestamp" not in pod["metadata"]
        and not any(owner["kind"] == "Job" for owner in owners(pod))
    ]
    return sorted(ours, key=lambda pod: pod["metadata"]["creationTimestamp"])


def last_words(kube: Kube, lines: int = 5) -> str:
    """Of every pod of ours its state and its last lines of log, without what is there always."""
    try:
        told = [kube.run("get", "pods", "--all-namespaces", "-o", "wide")]
        for namespace in NAMESPACES:
            for pod in kube.items("pods", namespace):
                name = pod["metadata"]["name"]
                log = kube.run("logs", name, "-n", namespace, "--tail=400").splitlines()
                said = [line[:300] for line in log if not any(n in line for n in NOISE)]
                told.append("\n".join([f"{namespace}/{name}", *said[-lines:]]))
    except KubeError as error:
        return str(error)
    return "\n\n".join(told)


def owners(thing: Any) -> list[Any]:
    return thing["metadata"].get("ownerReferences", [])


def main_status(pod: Any) -> Any:
    """The status of the pod's only long-running container."""
    (container,) = pod["status"]["containerStatuses"]
    return container


def restarts(kube: Kube, namespace: str, workload: str) -> dict[str, int]:
    """Pod name to how often its container was restarted."""
    return {
        pod["metadata"]["name"]: main_status(pod)["restartCount"]
        for pod in pods_of(kube, namespace, workload)
    }


def kill_minus_9(kube: Kube, pod: Any) -> float:
    """SIGKILL the main process of a pod from its node; gives the time (Unix epoch seconds).

    A pod's first process ignores signals from inside its own PID namespace, and deleting the pod
    would be a SIGTERM first. The node's containerd sends the real thing, as the kernel's
    out-of-memory killer would.
    """
    container_id = main_status(pod)["containerID"].removeprefix("containerd://")
    signal_container(kube, pod["spec"]["nodeName"], container_id, "SIGKILL")
    return time.time()


@contextlib.contextmanager
def frozen(kube: Kube, pod: Any) -> Iterator[None]:
    """The pod's process stands still inside the block (SIGSTOP), and goes on after it."""
    container_id = main_status(pod)["containerID"].removeprefix("containerd://")
    node = pod["spec"]["nodeName"]
    signal_container(kube, node, container_id, "SIGSTOP")
    try:
        yield
    finally:
        signal_container(kube, node, container_id, "SIGCONT")


def signal_container(kube: Kube, node: str, container_id: str, signal: str) -> None:
    """Send a signal to the first process of a container on a node that is itself a container."""
    command = ["ctr", "-n", "k8s.io", "tasks", "kill", "-s", signal, container_id]
    code, output = node_container(kube, node).exec_run(command)
    assert code == 0, f"{' '.join(command)} on node {node}: {output.decode(errors='replace')}"


def node_container(kube: Kube, node: str) -> Any:
    """The container that is the node: ours by label and hostname, or k3d's by name."""
    engine = docker.from_env()
    for container in engine.containers.list():
        ours = container.labels.get("dev.millrace.checkout") == kube.checkout.id
        if container.name == node or (ours and container.attrs["Config"]["Hostname"] == node):
            return container
    raise AssertionError(f"node {node} is no container of this machine's engine")


def replace_restarted(kube: Kube, *workloads: tuple[str, str]) -> None:
    """New pods for those whose container was restarted before.

    The kubelet makes a container that ended twice within ten minutes wait, longer each time; a
    run of the tests soon after another would measure that.
    """
    used = [
        (namespace, pod["metadata"]["name"])
        for namespace, workload in workloads
        for pod in pods_of(kube, namespace, workload)
        if main_status(pod)["restartCount"]
    ]
    for namespace, name in used:
        kube.run("delete", "pod", name, "-n", namespace, "--wait=true", timeout=240)
    if used:
        wait_until_settled(kube, seconds=240)


def wait_for_restart(kube: Kube, namespace: str, killed: Any, *, seconds: float) -> float:
    """Wait until the killed container runs again and is ready; gives the time it became so.

    Also proves that it was SIGKILL that ended it.
    """
    name, before = killed["metadata"]["name"], main_status(killed)["restartCount"]

    def again() -> Any:
        pod = kube.json("get", "pod", name, "-n", namespace)
        state = main_status(pod)
        return state if state["restartCount"] > before and state["ready"] else None

    state = wait_for(f"{name} to restart and be ready", again, seconds=seconds)
    ended = state["lastState"]["terminated"]["exitCode"]
    assert ended == SIGKILL_EXIT, f"{name} ended with exit code {ended}, not by SIGKILL"
    return time.time()


def wait_for_restart_or_end(
    kube: Kube, namespace: str, killed: Any, *, seconds: float
) -> float | None:
    """As ``wait_for_restart``, for a pod of a workload that has an autoscaler.

    When fewer pods are enough, those that are not ready go first: then this gives None.
    """
    name, before = killed["metadata"]["name"], main_status(killed)["restartCount"]
    workload = killed["metadata"]["labels"]["app.kubernetes.io/name"]

    def back_or_gone() -> str | None:
        for pod in pods_of(kube, namespace, workload):
            if pod["metadata"]["uid"] == killed["metadata"]["uid"]:
                state = main_status(pod)
                return "back" if state["restartCount"] > before and state["ready"] else None
        return "gone"

    what = f"{name} to be ready again, or gone"
    if wait_for(what, back_or_gone, seconds=seconds) == "gone":
        return None
    return wait_for_restart(kube, namespace, killed, seconds=seconds)


@contextlib.contextmanager
def away(kube: Kube, namespace: str, statefulset: str) -> Iterator[None]:
    """The StatefulSet has no pod inside the block, and is ready again after it.

    Its pods leave and no node takes new ones: the program's objects stay as they are. (Scaling
    to zero would change them, and delete the volumes where the stack says so.)
    """
    nodes = [
        node["metadata"]["name"]
        for node in kube.items("nodes")
        if not node["spec"].get("unschedulable")
    ]
    target = f"statefulset/{statefulset}"
    pods = [pod["metadata"]["name"] for pod in pods_of(kube, namespace, statefulset)]
    assert nodes, "no node is schedulable even before the test"
    assert pods, f"{statefulset} has no pod"
    try:
        kube.run("cordon", *nodes)
        kube.run("delete", "pod", *pods, "-n", namespace, "--wait=true", timeout=150)
        yield
    finally:
        kube.run("uncordon", *nodes)
        kube.run("rollout", "status", target, "-n", namespace, "--timeout=170s", timeout=180)
