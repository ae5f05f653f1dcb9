"""The load generator on the cluster: its pods started, held, watched and taken away."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from bootstrap.kube import Kube, KubeError
from bootstrap.kube_api import kubernetes_api
from loadtests.run import pods
from loadtests.run.messages import BEGIN, END, LOST
from loadtests.run.plan import Plan
from loadtests.run.pods import NAMESPACE, RUN_LABEL, Seen, Site
from loadtests.run.running import Generator

START_SECONDS = 300.0
"""For all pods to run: a node may have to fetch the image, or to be made."""
LOOK_SECONDS = 2.0
GONE_SECONDS = 60.0
SETTLED_SECONDS = 15.0
"""Until a container that has ended is known to have."""
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
NOT_THERE = (
    "the stack has no load generator on the cluster; say `enabled: true` in millrace:loadtest of "
    "its stack file, and `make up`"
)


class ClusterError(Exception):
    """The pods of a run cannot be had; the text is a sentence with the way out."""


def find(kube: Kube) -> Site:
    """What the stack has for runs on the cluster.

    Raises:
        ClusterError: the stack has none, or another run is on.
        KubeError: the cluster did not answer.
    """
    try:
        found = pods.site(kube.json("get", "podtemplate", pods.NAME, "-n", NAMESPACE))
    except KubeError as error:
        if "NotFound" in str(error):
            raise ClusterError(NOT_THERE) from error
        raise
    # Before this one seeds: even that would be seen in the other's numbers.
    for item in kube.json("get", "pods", "-n", NAMESPACE, "-l", RUN_LABEL)["items"]:
        _refuse(pods.seen(item))
    return found


def _refuse(pod: Seen) -> None:
    if not pod.over and not pod.leaving:
        raise ClusterError(
            f"another run is on: the pod {pod.name} is there; wait until it is over, or "
            f"`kubectl -n {NAMESPACE} delete pods -l {RUN_LABEL}`"
        )


class ClusterGenerator:
    """A master and its workers as pods, for as long as it is open. As ``Generator`` otherwise.

    The master's standard streams come here by `kubectl attach`; it ends with this process.
    """

    def __init__(
        self,
        kube: Kube,
        site: Site,
        plan: Plan,
        take: Callable[[str], None],
        *,
        log: Path,
        console: Console,
        shown: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._kube = kube
        self._site = site
        self._plan = plan
        self._log = log
        self._console = console
        self._master = f"{plan.run}-master"
        command = kube.command("attach", "-i", "-q", "-n", NAMESPACE, self._master)
        self._attached = Generator(plan, take, log, command, shown)
        self._workers: list[str] = []
        self._lost: dict[str, str] = {}
        self._gone: set[str] = set()
        self._open = ExitStack()
        self._looked = 0.0
        self._seen_to_end = False

    def __enter__(self) -> "ClusterGenerator":
        with ExitStack() as opened:
            self._api = opened.enter_context(kubernetes_api(self._kube))
            self._refuse_company()
            opened.callback(self._take_away)
            self._create(pods.master_pod(self._site, self._plan))
            address = self._wait_until_running([self._master])[self._master].address
            opened.enter_context(self._attached)
            made = pods.worker_pods(self._site, self._plan, address)
            self._workers = [pod["metadata"]["name"] for pod in made]
            for pod in made:
                self._create(pod)
            running = self._wait_until_running(self._workers)
            nodes = sorted({pod.node for pod in running.values()})
            self._console.print(
                f"{len(running)} workers run on {', '.join(nodes)}", highlight=False, soft_wrap=True
            )
            self.hand_on()
            self._attached.say(BEGIN)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def hand_on(self) -> None:
        """As ``Generator`` does."""
        self._attached.hand_on()

    def stop(self) -> None:
        """Tell the users to leave; they still take the answers they wait for."""
        self._attached.say(END)

    def ended(self, seconds: float) -> bool:
        """Wait so long for the last line; False when there may be more."""
        until = time.monotonic() + seconds
        while not self._attached.ended(max(0.0, min(LOOK_SECONDS, until - time.monotonic()))):
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                self._look()
            if time.monotonic() >= until:
                return False
        self._see_the_end()
        return True

    def complaints(self) -> list[str]:
        """What makes the numbers worth nothing, as far as it is seen from here."""
        return [*self._attached.complaints(), *self._lost.values()]

    def last_words(self, most: int = 5) -> list[str]:
        """The last lines of their logs, which hold warnings and worse."""
        return self._attached.last_words(most)

    def _look(self) -> None:
        """A run that has lost a pod is over: what it would go on with is another load."""
        self._looked = time.monotonic()
        try:
            found = self._pods()
        except httpx.HTTPError:
            return  # under load the API may be slow; the next look is soon
        for name in (self._master, *self._workers):
            now = found.get(name)
            if now is not None and now.phase == "Succeeded":
                continue  # after the master's word, which is on its way here
            told = pods.lost(name, now)
            if told is not None and name not in self._lost:
                self._lost[name] = told
                self._console.print(told, style="red", markup=False, soft_wrap=True)
            if (now is None or now.over) and name not in self._gone:
                self._gone.add(name)
                self._attached.say(LOST)
        if self._lost:
            self.stop()

    def _see_the_end(self) -> None:
        """The master's last line came, or the way to it was cut: its pod says which."""
        until = time.monotonic() + SETTLED_SECONDS
        while not self._seen_to_end:
            with suppress(httpx.HTTPError):
                now = self._pods().get(self._master)
                if now is None or now.phase == "Failed":
                    self._lost[self._master] = pods.lost(self._master, now) or ""
                self._seen_to_end = now is None or now.over
            if time.monotonic() > until and not self._seen_to_end:
                self._seen_to_end = True
                self._lost[self._master] = (
                    f"the connection to the load generator's pod {self._master} broke off: what it "
                    "told afterwards is in no report and in no ledger"
                )
            time.sleep(0.2)

    def _pods(self) -> dict[str, Seen]:
        answer = self._api.get(_PODS, params={"labelSelector": f"{RUN_LABEL}={self._plan.run}"})
        answer.raise_for_status()
        return {one.name: one for one in map(pods.seen, answer.json()["items"])}

    def _refuse_company(self) -> None:
        """Two runs at a time would measure each other; what an old one left is taken away."""
        answer = self._api.get(_PODS, params={"labelSelector": RUN_LABEL})
        answer.raise_for_status()
        for item in answer.json()["items"]:
            pod = pods.seen(item)
            _refuse(pod)
            self._api.delete(f"{_PODS}/{pod.name}").raise_for_status()

    def _create(self, pod: Mapping[str, Any]) -> None:
        answer = self._api.post(_PODS, json=pod)
        if answer.is_error:
            said = answer.json().get("message", answer.text)
            raise ClusterError(
                f"the cluster does not take the pod {pod['metadata']['name']}: {said}"
            )

    def _wait_until_running(self, names: list[str]) -> dict[str, Seen]:
        until, told = time.monotonic() + START_SECONDS, ""
        while True:
            found = self._pods()
            here = {name: found[name] for name in names if name in found}
            late = [pod for pod in here.values() if not pod.running]
            if len(here) == len(names) and not late:
                return here
            ended = [pod for pod in late if pod.over]
            if ended or len(here) < len(names) or time.monotonic() > until:
                pod = (ended or late or [None])[0]
                name, why = (pod.name, pod.why) if pod else (f"of {names}", "one was deleted")
                raise ClusterError(
                    f"the load generator's pod {name} does not run: {why or 'no reason is given'}; "
                    + self._last_lines(name)
                    + "take fewer WORKERS, or look at resources and nodeSelector of "
                    "millrace:loadtest"
                )
            if late[0].why != told:
                told = late[0].why
                self._console.print(f"waiting for {late[0].name}: {told}", soft_wrap=True)
            time.sleep(0.3)

    def _last_lines(self, name: str) -> str:
        with suppress(httpx.HTTPError):
            answer = self._api.get(f"{_PODS}/{name}/log", params={"tailLines": 3})
            if answer.is_success and answer.text.strip():
                return f"it says {answer.text.strip()!r}; "
        return ""

    def _take_away(self) -> None:
        """Also after a failure: what cannot be deleted now ends by its deadline."""
        with suppress(httpx.HTTPError), self._log.open("a", encoding="utf-8") as log:
            for name in self._workers:
                answer = self._api.get(f"{_PODS}/{name}/log", params={"tailLines": 50})
                if answer.is_success and answer.text.strip():
                    log.write(f"{name}:\n{answer.text}")
        with suppress(httpx.HTTPError):
            chosen = {"labelSelector": f"{RUN_LABEL}={self._plan.run}", "gracePeriodSeconds": 1}
            self._api.delete(_PODS, params=chosen)
            until = time.monotonic() + GONE_SECONDS
            while self._pods() and time.monotonic() < until:
                time.sleep(0.3)
