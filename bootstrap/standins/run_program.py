"""Runs a Pulumi program in a clean interpreter: started by the language host, once per request.

Stands alone (nothing of this repository is importable in the program's environment) and needs
only the pulumi SDK there. The host passes one JSON argument with the request; configuration
travels in PULUMI_CONFIG and PULUMI_CONFIG_SECRET_KEYS, where the SDK looks for it.
"""

import signal

# The host starts us with SIGINT held back, so that an interrupt while Python itself starts
# leaves no trace on the screen. From here on it ends this process at once and without a word.
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

import asyncio  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

# Tells the host that the user has already been told what is wrong.
ALREADY_REPORTED = 32


def main() -> int:
    """Run the program; the exit code is what the host makes its answer from."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    try:
        import pulumi  # noqa: PLC0415
        from pulumi import runtime  # noqa: PLC0415
    except ImportError:
        sys.stderr.write(
            f"the pulumi SDK cannot be imported in {sys.executable}; `pulumi install` (or "
            f"`uv sync`) installs what the program needs\n{traceback.format_exc()}"
        )
        return 1
    runtime.set_all_config(runtime.get_config_env(), runtime.get_config_secret_keys_env())
    runtime.configure(
        runtime.Settings(
            monitor=request["monitor"],
            engine=request["engine"],
            project=request["project"],
            stack=request["stack"],
            parallel=request["parallel"],
            dry_run=request["dry_run"],
            organization=request["organization"],
            root_directory=request["root_directory"],
        )
    )
    program: str = request["program"]
    sys.argv = [program, *request["args"]]
    os.chdir(request["pwd"])
    if Path(program).is_dir() and not Path(program, "__main__.py").is_file():
        pulumi.log.error(f"there is no __main__.py in {Path(program).resolve()}")
        return ALREADY_REPORTED

    def run() -> None:
        runpy.run_path(program, run_name="__main__")

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    if request["parallel"]:
        # Each resource operation in flight may hold a few threads at once.
        loop.set_default_executor(ThreadPoolExecutor(max(request["parallel"], 1) * 4))
    # A program that fails leaves futures unobserved; asyncio's remarks about them help nobody.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        loop.run_until_complete(runtime.run_in_stack(run))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))  # missing or bad configuration: the message says it all
        return ALREADY_REPORTED
    except Exception as error:
        pulumi.log.error(
            "Program failed with an unhandled exception:\n" + users_trace(error, Path(program))
        )
        return ALREADY_REPORTED
    return 0


def users_trace(error: BaseException, program: Path) -> str:
    """The trace from the program's own first frame on, without this host's and runpy's."""
    main_file = (program / "__main__.py" if program.is_dir() else program).resolve()
    frame = error.__traceback__
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename).resolve() == main_file:
            break
        frame = frame.tb_next
    trace = frame if frame is not None else error.__traceback__
    return "".join(traceback.format_exception(type(error), error, trace))


if __name__ == "__main__":
    try:
        code = main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    sys.exit(code)
