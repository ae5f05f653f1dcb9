"""`junit.xml`: one test case for every target, for whatever shows test results."""

from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from loadtests.verdict.checks import Judgement
from loadtests.verdict.results import Run

FILE = "junit.xml"


def write(run: Run, judgement: Judgement, folder: Path) -> Path:
    """Write `junit.xml`; a case's class is who is held to it, its name what is measured."""
    suite = Element(
        "testsuite",
        name=f"load {run.stack} {run.target} {run.shape} {run.users} users",
        tests=str(len(judgement.checks)),
        failures=str(len(judgement.sentences)),
        errors="0",
        skipped="0",
        time=f"{run.seconds:.3f}",
        timestamp=run.started_at.removesuffix("Z"),
        hostname="localhost",
    )
    for check in judgement.checks:
        case = SubElement(
            suite,
            "testcase",
            classname=f"load.{run.target}.{check.subject}",
            name=check.what,
            time="0.000",
        )
        if not check.passed:
            failure = SubElement(case, "failure", type="target", message=check.sentence)
            failure.text = check.sentence
        SubElement(case, "system-out").text = f"measured {check.measured}, target {check.target}"
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    path = folder / FILE
    ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    return path
