"""What every plugin program shares: serve on a free port, tell the engine, leave quietly."""

import logging
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc

# The engine's own limit: state of a whole stack may travel in one message.
_LARGEST_MESSAGE = 400 * 1024 * 1024
_OPTIONS = [
    ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
    ("grpc.max_send_message_length", _LARGEST_MESSAGE),
    ("grpc.so_reuseport", 0),
]


def serve(
    register: Callable[[grpc.Server], None], stop: Callable[[], None], *, threads: int = 32
) -> None:
    """Serve until the engine interrupts this process or dies, then return.

    Args:
        register: Adds the servicer to the server.
        stop: Ends what is under way (child processes, builds); called once.
        threads: How many requests run at a time.
    """
    # A byte in a pipe, which the interpreter writes the moment a signal comes, and no Event: the
    # thread that waits for that may just then hold its lock, which the handler would wait for, or
    # may not sleep yet, and then nothing would wake it and have the handler run.
    waiting, done = os.pipe()
    os.set_blocking(done, False)
    signal.set_wakeup_fd(done)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    # grpc logs a trace for each error a handler reports; the engine shows the error itself.
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    server = grpc.server(ThreadPoolExecutor(max_workers=threads), options=_OPTIONS)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    _watch_engine(done)
    os.read(waiting, 1)
    stop()
    server.stop(grace=None)
    sys.stdout.flush()
    # Threads still waiting on a request that nobody wants any more must not keep us here.
    os._exit(0)


def _watch_engine(done: int) -> None:
    """End with the engine: it holds the other end of our standard input as long as it lives."""
    try:
        held = stat.S_ISFIFO(os.fstat(0).st_mode)
    except OSError:
        held = False
    if not held:
        return  # started by hand

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.write(done, b"\0")

    threading.Thread(target=watch, daemon=True, name="engine-watch").start()
