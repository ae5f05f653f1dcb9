"""What observers make of what they see."""

from loadtests.observers.processor import CLUSTER, ENGINE, GENERATOR, REST, Process, groups, pod_of
from loadtests.observers.services import Look, Reads
from loadtests.observers.store import Counters
from loadtests.run.points import points, rates, within
from loadtests.verdict.results import Point

UID = "cb7f8e33-d3f0-455d-ae67-03e347b47989"
V1 = f"/millrace-1/kubepods/burstable/pod{UID}/d5cf78"
V2 = f"/docker/8288/kubelet.slice/kubelet-kubepods-pod{UID.replace('-', '_')}.slice/cri-d5cf.scope"
NODE = "/docker/8288bab4"


def test_a_pod_is_told_by_either_form_of_its_control_group():
    assert pod_of(V1) == pod_of(V2) == UID
    assert pod_of(NODE) is None


def test_every_process_belongs_to_one_group():
    processes = [
        Process(1, 0, "init", "/"),
        Process(10, 1, "dockerd", "/"),
        Process(11, 1, "containerd-shim-runc-v2", "/"),
        Process(20, 11, "start-node", NODE),
        Process(21, 20, "kubelet", NODE),
        Process(22, 20, "containerd-shim", NODE),
        Process(30, 22, "python", V1),
        Process(31, 30, "python", V1),
        Process(40, 1, "python", "/user"),
        Process(41, 40, "python", "/user"),
        Process(50, 1, "postgres", "/docker/another"),
        Process(60, 22, "pod-of-another-cluster", V1.replace("cb7f", "ffff")),
    ]
    found = groups({one.pid: one for one in processes}, {UID: "ingest-service"}, generator=40)
    assert found == {
        1: REST,
        10: ENGINE,
        11: ENGINE,
        20: CLUSTER,
        21: CLUSTER,
        22: CLUSTER,
        30: "ingest-service",
        31: "ingest-service",
        40: GENERATOR,
        41: GENERATOR,
        50: REST,
        60: REST,
    }


def test_processes_at_the_root_are_not_taken_for_the_cluster():
    processes = {1: Process(1, 0, "init", "/"), 2: Process(2, 1, "python", V1)}
    assert groups(processes, {UID: "ingest-service"}, generator=9)[1] == REST


def test_reads_are_counted_over_pods_that_come_and_start_again():
    reads = Reads()
    reads.feed({("a", "local"): 100.0})
    reads.feed({("a", "local"): 110.0, ("b", "local"): 5.0})
    reads.feed({("a", "local"): 3.0, ("b", "local"): 6.0})
    assert reads.by_source == {"local": 10 + 5 + 3 + 1}


def test_rates_leave_out_a_counter_that_began_anew():
    assert rates([(0.0, 10), (2.0, 30), (4.0, 5), (5.0, 7)]) == [(2.0, 10.0), (5.0, 2.0)]


def test_what_was_seen_before_a_stretch_is_not_taken_for_what_was_seen_in_it():
    seen = [(1.0, "a"), (3.0, "b")]
    assert within(seen, 2.0, 4.0) == "b"
    assert within(seen, 1.5, 2.5) is None
    assert within(seen, 0.0, 2.0) == "a"


def test_a_point_has_what_was_seen_within_it_and_nothing_where_nobody_looked():
    bare = [Point(at=at, users=1, requests=1, failures=0) for at in (0.0, 2.0)]
    looks = [Look(101.0, queue=7, lag=2, ready={"ingest-service": 2})]
    store = [
        (99.0, Counters(transactions=10, flushes=5, rows=0)),
        (101.0, Counters(transactions=30, flushes=15, rows=9)),
    ]
    first, second = points(
        bare, began=100.0, width=2.0, services=looks, store=store, processor=[(101.5, {"x": 0.5})]
    )
    assert (first.queue, first.lag, first.commits, first.flushes) == (7, 2, 10, 5)
    assert (first.pods, first.cpu) == ({"ingest-service": 2}, {"x": 0.5})
    assert (second.queue, second.commits, second.pods, second.cpu) == (None, None, {}, {})
