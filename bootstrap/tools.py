"""The tools that are built from published Go modules, once per user, content-addressed.

``bootstrap/go/NAME`` holds a module of ours whose ``go.sum`` pins every byte that goes in.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.checkout import Checkout
from bootstrap.compiling import Compiled, compile_sizes
from bootstrap.steps import Report, Step, StepFailed

KUBERNETES_VERSION = "1.36.4"
PULUMI_VERSION = "3.259.0"
PROVIDER_VERSION = "4.25.0"
MINIMUM_GO = (1, 26, 4)

_PROVIDER_MODULE = "github.com/pulumi/pulumi-kubernetes/provider/v4"


@dataclass(frozen=True)
class GoTool:
    """A program built from the module in ``bootstrap/go/<name>``.

    ``embedded`` maps a module path to the files of it that our main package embeds; they are
    copied beside it at build time and never committed. ``names`` are those under which the binary
    is put on PATH; its own name only, unless said otherwise. ``unoptimised`` are patterns of
    packages where the compiler's optimisation costs more time than it will ever save. ``go`` is
    the oldest Go that compiles it.
    """

    name: str
    version: str
    binary: str
    package: str = "."
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    embedded: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    names: Sequence[str] | None = None
    unoptimised: Sequence[str] = ()
    go: tuple[int, int, int] = MINIMUM_GO

    @property
    def commands(self) -> Sequence[str]:
        return (self.binary,) if self.names is None else self.names

    @property
    def ldflags(self) -> str:
        settings = [f"-X {name}={value}" for name, value in sorted(self.variables.items())]
        return " ".join(["-s", "-w", *settings])

    @property
    def gcflags(self) -> Sequence[str]:
        """For some packages only: with others of its own a tool would share no compiled package."""
        return [it for packages in self.unoptimised for it in ("-gcflags", f"{packages}=-N -l")]

    @property
    def flags(self) -> Sequence[str]:
        return ["-trimpath", *self.gcflags, "-ldflags", self.ldflags]


PULUMI = GoTool(
    name="pulumi",
    version=PULUMI_VERSION,
    binary="pulumi",
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    variables={"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": f"v{PULUMI_VERSION}"},
)
PROVIDER_KUBERNETES = GoTool(
    name="provider-kubernetes",
    version=PROVIDER_VERSION,
    binary="pulumi-resource-kubernetes",
    names=(),  # a plugin, see lifecycle: pulumi warns about each one it takes from PATH
    variables={f"{_PROVIDER_MODULE}/pkg/version.Version": PROVIDER_VERSION},
    embedded={
        _PROVIDER_MODULE: [
            "cmd/pulumi-resource-kubernetes/schema.json",
            "cmd/pulumi-resource-kubernetes/terraform-mapping.json",
        ]
    },
    # The SDK for Go programs, 25 MB of generated source, which only ConfigGroup and Chart run on.
    unoptimised=("github.com/pulumi/pulumi-kubernetes/sdk/v4/...",),
)
KUBERNETES = GoTool(
    name="kubernetes",
    version=KUBERNETES_VERSION,
    binary="kubernetes",
    variables={
        "k8s.io/component-base/version.gitVersion": f"v{KUBERNETES_VERSION}",
        "k8s.io/component-base/version.gitMajor": "1",
        "k8s.io/component-base/version.gitMinor": "36",
        "k8s.io/component-base/version.gitTreeState": "clean",
        "k8s.io/client-go/pkg/version.gitVersion": f"v{KUBERNETES_VERSION}",
    },
    names=["kubernetes", "kubectl"],
)
COREDNS = GoTool(name="coredns", version="1.12.4", binary="coredns")
K3D = GoTool(
    name="k3d",
    version="5.8.3",
    binary="k3d",
    package="github.com/k3d-io/k3d/v5",
    variables={"github.com/k3d-io/k3d/v5/version.Version": "v5.8.3"},
)

COLLECTOR = GoTool(name="collector", version="0.145.0", binary="collector")
# Of the node's versions it has all but OpenTelemetry's SDK: it refuses to start with one whose
# schema is newer than its own.
JAEGER = GoTool(
    name="jaeger",
    version="1.76.0",
    binary="jaeger",
    package="github.com/jaegertracing/jaeger/cmd/all-in-one",
    variables={"github.com/jaegertracing/jaeger/internal/version.latestVersion": "v1.76.0"},
)
# With versions of its own throughout: it asks for newer ones than the node's.
LOKI = GoTool(
    name="loki",
    version="3.7.8",
    binary="loki",
    package="github.com/grafana/loki/v3/cmd/loki",
    variables={"github.com/grafana/loki/v3/pkg/util/build.Version": "3.7.8"},
    # Other stores than the file system, and what an xDS server and a data lake would be for.
    unoptimised=(
        *("cloud.google.com/go/...", "google.golang.org/api/...", "github.com/Azure/..."),
        *("github.com/aws/...", "github.com/IBM/...", "github.com/baidubce/..."),
        *("github.com/minio/...", "github.com/twmb/...", "github.com/apache/arrow-go/..."),
        *("github.com/envoyproxy/...", "github.com/andybalholm/brotli/...", "modernc.org/..."),
    ),
    go=(1, 26, 5),
)

S3 = GoTool(name="s3", version="1.8.0", binary="s3")  # for tests of backups
# Of contracts: 1.73 asks for a newer Go than everything else that everybody builds.
BUF = GoTool(name="buf", version="1.72.0", binary="buf", package="github.com/bufbuild/buf/cmd/buf")
GRPCURL = GoTool(
    name="grpcurl",
    version="1.9.4",
    binary="grpcurl",
    package="github.com/fullstorydev/grpcurl/cmd/grpcurl",
    variables={"main.version": "v1.9.4"},
)

# The order is the order of building: what takes longest begins first. Half of the collector is
# compiled with the node, whose versions it has.
AIRGAP_TOOLS = (KUBERNETES, PROVIDER_KUBERNETES, PULUMI, COREDNS, JAEGER, COLLECTOR)
OPTIONAL_TOOLS = (LOKI,)
"""Built where the stack asks for the image of that name: see bootstrap.optional."""
TEST_TOOLS = (BUF, GRPCURL, K3D, S3)
"""What integration tests run. No stack needs them, but for k3d."""
E2E_TOOLS = (GRPCURL,)
"""What end-to-end tests meet the platform with."""


def _sources(checkout: Checkout, tool: GoTool) -> Path:
    return checkout.root / "bootstrap" / "go" / tool.name


def tool_folder(checkout: Checkout, tool: GoTool) -> Path:
    """Where the tool lies in the user's cache; the name changes with anything that goes in."""
    digest = hashlib.sha256(" ".join([tool.package, tool.ldflags, *tool.gcflags]).encode())
    sources = _sources(checkout, tool)
    for path in sorted(sources.rglob("*")):
        if path.name in ("go.mod", "go.sum") or path.suffix == ".go":
            name = path.relative_to(sources).as_posix()
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return checkout.cache / "tools" / f"{tool.name}-{tool.version}-{digest.hexdigest()[:12]}"


def tool_path(checkout: Checkout, tool: GoTool) -> Path:
    return tool_folder(checkout, tool) / "bin" / tool.binary


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the lock file ``path``, so that two runs (of any checkout) do not do one thing twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build_environment() -> dict[str, str]:
    return os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}


def check_go(minimum: tuple[int, int, int] = MINIMUM_GO) -> str:
    """The version of Go on PATH.

    Raises:
        StepFailed: Go is missing or older than the modules ask for.
    """
    wanted = ".".join(map(str, minimum))
    try:
        answer = subprocess.run(
            ["go", "env", "GOVERSION"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise StepFailed(
            f"go: not found ({error}); the tools are compiled here, so install Go {wanted} or "
            "newer and put it on PATH"
        ) from error
    # A development version has no number: trust it.
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", answer)
    if found and tuple(map(int, found.groups("0"))) < minimum:
        raise StepFailed(f"go: {answer} is older than the modules ask for; install Go {wanted}+")
    return answer.removeprefix("go")


def _prepare(checkout: Checkout, tool: GoTool) -> Path:
    work = checkout.cache / "build" / tool_folder(checkout, tool).name
    shutil.copytree(_sources(checkout, tool), work, dirs_exist_ok=True)
    return work


def _copy_embedded(tool: GoTool, work: Path, report: Report) -> None:
    environment = _build_environment()
    for module, files in tool.embedded.items():
        report.run(["go", "mod", "download", module], cwd=work, env=environment)
        folder = subprocess.run(
            ["go", "list", "-m", "-f", "{{.Dir}}", module],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for file in files:
            shutil.copyfile(Path(folder) / file, work / Path(file).name)


def download(checkout: Checkout, tool: GoTool, report: Report) -> None:
    """Bring the modules that the tool's packages come from into Go's module cache.

    ``go list`` fetches just those; ``go mod download`` would want every module of the graph,
    also some that proxies refuse and no package needs.
    """
    check_go(tool.go)

    def show(line: str) -> None:
        if line.startswith("go: downloading"):
            report.status = line.removeprefix("go: downloading ")

    with locked(checkout.cache / "build" / f"{tool.name}.modules.lock"):
        work = _prepare(checkout, tool)
        _copy_embedded(tool, work, report)
        report.run(
            ["go", "list", "-deps", "-f", "{{if .Error}}{{.Error}}{{end}}", tool.package],
            cwd=work,
            env=_build_environment(),
            on_line=show,
        )


def build(checkout: Checkout, tool: GoTool, report: Report) -> None:
    """Compile the tool into the user's cache; whole or not at all."""
    environment = _build_environment()
    # One build at a time: each fills every core by itself, and side by side they only thrash.
    with locked(checkout.cache / "build" / "compile.lock"):
        folder = tool_folder(checkout, tool)
        if folder.exists():  # another checkout was faster
            return
        work = _prepare(checkout, tool)
        _copy_embedded(tool, work, report)
        compiled = Compiled(compile_sizes(tool.package, tool.flags, work, environment))

        def show(line: str) -> None:
            compiled.begin(line)
            report.progress(compiled.done, compiled.total)
            report.status = line

        draft = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        (draft / "bin").mkdir(parents=True)
        report.run(
            ["go", "build", "-v", *tool.flags, "-o", draft / "bin" / tool.binary, tool.package],
            cwd=work,
            env=environment,
            on_line=show,
        )
        draft.rename(folder)
        shutil.rmtree(work)


def _link(checkout: Checkout, tool: GoTool) -> None:
    """Put the tool into the checkout's own ``bin``; each file is replaced atomically.

    Hard links, not symbolic ones: pulumi takes a language host without a warning only from the
    folder in which it lies itself.
    """
    for name in tool.commands:
        draft = checkout.bin / f".{name}.new"
        draft.unlink(missing_ok=True)
        try:
            os.link(tool_path(checkout, tool), draft)
        except OSError:  # the cache is on another file system
            shutil.copy2(tool_path(checkout, tool), draft)
        draft.replace(checkout.bin / name)


def _is_linked(checkout: Checkout, tool: GoTool) -> bool:
    try:
        source = tool_path(checkout, tool).stat()
        links = [(checkout.bin / name).lstat() for name in tool.commands]
    except FileNotFoundError:
        return False
    # Size and time, not the inode: a copy on another file system counts as well.
    return all((it.st_size, it.st_mtime) == (source.st_size, source.st_mtime) for it in links)


def tool_steps(checkout: Checkout, tools: Sequence[GoTool]) -> list[Step]:
    """Two steps a tool, so that modules of the next come in while one compiles."""
    steps: list[Step] = []
    for tool in tools:

        def present(tool: GoTool = tool) -> bool:
            return tool_path(checkout, tool).exists()

        def fetch(report: Report, tool: GoTool = tool) -> None:
            download(checkout, tool, report)

        def linked(tool: GoTool = tool) -> bool:
            return _is_linked(checkout, tool)

        def compile_it(report: Report, tool: GoTool = tool) -> None:
            if not tool_path(checkout, tool).exists():
                build(checkout, tool, report)
            _link(checkout, tool)

        modules = f"modules: {tool.name}"
        steps.append(Step(modules, fetch, is_done=present))
        steps.append(Step(f"tools: {tool.name}", compile_it, needs=(modules,), is_done=linked))
    return steps
