"""The processes that make the load, as the one that started them sees them."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from loadtests.run.messages import BEGIN, TOKEN
from loadtests.run.plan import PLAN_VARIABLE, Plan


class Generator:
    """A master with its workers; ``take`` gets every line it puts out.

    They get a session of their own: Ctrl-C is for the one who started them, who then tells them
    to end in good order. Should that one vanish, the end of their input tells them.

    ``command`` is what leads to a master that is elsewhere, and is told to begin by the caller.
    """

    def __init__(
        self,
        plan: Plan,
        take: Callable[[str], None],
        log: Path,
        command: Sequence[str] | None = None,
        shown: Callable[[], str | None] = lambda: None,
    ) -> None:
        """``shown``: what users show at the moment, where they show something."""
        self.trouble: Exception | None = None
        self._take = take
        self._log = log
        self._command = command
        self._shown = shown
        self._told: str | None = None
        self._environment = {**os.environ, PLAN_VARIABLE: plan.model_dump_json()}
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread(target=self._read, name="generator", daemon=True)

    def __enter__(self) -> "Generator":
        here = [sys.executable, "-m", "loadtests.generator", "master"]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603 - ours, or our own kubectl
                here if self._command is None else self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
                start_new_session=True,
            )
        self._reader.start()
        if self._command is None:
            self.hand_on()
            self.say(BEGIN)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if not self.ended(60):
            self._started.kill()
        self._started.wait()

    @property
    def _started(self) -> "subprocess.Popen[str]":
        assert self._process is not None
        return self._process

    def say(self, word: str) -> None:
        """Give the master an order; one that is gone takes none."""
        stdin = self._started.stdin
        if stdin is not None and not stdin.closed:
            with suppress(BrokenPipeError):
                stdin.write(word + "\n")
                stdin.flush()

    def hand_on(self) -> None:
        """Tell the users what to show, if that is another than before.

        Raises:
            KubeError: there is nothing any more that they could show.
        """
        now = self._shown()
        if now is not None and now != self._told:
            self._told = now
            self.say(f"{TOKEN} {now}")

    def stop(self) -> None:
        """Tell the users to leave; they still take the answers they wait for."""
        stdin = self._started.stdin
        if stdin is not None and not stdin.closed:
            with suppress(BrokenPipeError):
                stdin.close()

    def ended(self, seconds: float) -> bool:
        """Wait so long for the last line; False when there may be more."""
        self._reader.join(timeout=seconds)
        return not self._reader.is_alive()

    def complaints(self) -> list[str]:
        """What makes the numbers worth nothing, as far as it is seen from here."""
        if self.trouble is None:
            return []
        return [f"the load generator said what nobody understands: {self.trouble}"]

    def _read(self) -> None:
        stdout = self._started.stdout
        assert stdout is not None
        try:
            for line in stdout:
                self._take(line)
        except ValueError as error:  # no message of ours: the run's numbers are worth nothing
            self.trouble = error
            self.stop()
            for _ in stdout:
                pass

    def last_words(self, most: int = 5) -> list[str]:
        """The last lines of its log, as far as they are warnings or worse."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if line.strip()][-most:]
