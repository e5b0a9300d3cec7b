"""Runs a command that must not outlive its parent, however the parent ends.

`python guard.py COMMAND ...` with a pipe as standard input: when the other end of the pipe
closes, even by `kill -9` of the parent, the command and all that it started are ended. A SIGTERM
is handed on to them: they may end by themselves.
Standard library only, and started by its path, so that it costs little.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """Run the command; its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer.
    posix = os.name == "posix"
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=posix)

    def end() -> None:
        if posix:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()

    def hand_on(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    if posix:
        signal.signal(signal.SIGTERM, hand_on)

    def watch() -> None:
        while os.read(0, 1024):
            pass
        end()

    threading.Thread(target=watch, daemon=True).start()
    status = child.wait()
    end()  # What the command left behind ends with it.
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    os._exit(main())
