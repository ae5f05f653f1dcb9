"""Child processes of the language host: started quietly, ended with the request they serve."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_GRACE_SECONDS = 5.0


class Children:
    """All running children; ``stop`` ends them and refuses new ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self.stopped = False

    def start(
        self, command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], **streams: Any
    ) -> "subprocess.Popen[bytes]":
        """Start ``command`` with SIGINT held back; it decides itself when to let it in.

        Raises:
            RuntimeError: the host is shutting down.
            OSError: the program cannot be started.
        """
        with self._lock:
            if self.stopped:
                raise RuntimeError("the language host is shutting down")
            # The mask of this thread is what the child inherits.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                child = subprocess.Popen[bytes](
                    command, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, **streams
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._running.add(child)
            return child

    def finished(self, child: "subprocess.Popen[bytes]") -> int:
        """Wait for ``child`` and forget it."""
        code = child.wait()
        with self._lock:
            self._running.discard(child)
        return code

    def end(self, child: "subprocess.Popen[bytes]") -> None:
        """Ask ``child`` to leave; kill it when it has not left after some seconds."""
        if child.poll() is not None:
            return
        child.terminate()
        timer = threading.Timer(_GRACE_SECONDS, _kill, [child])
        timer.daemon = True
        timer.start()

    def stop(self) -> None:
        """End all children and start no more."""
        with self._lock:
            self.stopped = True
            running = list(self._running)
        for child in running:
            self.end(child)
        for child in running:
            try:
                child.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                _kill(child)


def _kill(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.kill()


def environment_of(entries: Sequence[str]) -> dict[str, str]:
    """``KEY=VALUE`` entries as a mapping (the last one of a name wins); ours if there are none."""
    if not entries:
        return dict(os.environ)
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)
