"""Show what pyinit is for: a real self-daemonizing program, first under a plain init, then under pyinit.

Everything that the demo says about the two runs is looked up in /proc or asked of the program itself; when something
turns out otherwise than said, the demo fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from scripts.demo.containers import Engine, demo_in_container
from scripts.demo.machine import NamespaceWay, SubreaperWay, demo_on_machine
from scripts.demo.runs import DemoError, Summary, say


def choose(way: str) -> tuple[str, Summary]:
    """Take the way that was asked for, or the best that works here; give the plain init's title and the summary."""
    if way in {"auto", "container"}:
        engine = Engine()
        if engine.answers():
            say("A container engine answers: the demo runs in containers (WAY=namespace shows it without).")
            try:
                engine.build()
            except DemoError:
                if way == "container":
                    raise
                say("So the demo goes on without containers.")
            else:
                return "docker run --init", demo_in_container(engine)
        elif way == "container":
            message = "no container engine answers to `docker info`"
            raise DemoError(message)
        else:
            say("No container engine answers: the demo runs on this machine itself.")
    namespace = NamespaceWay.find()
    if namespace is None:
        say("This machine allows no PID namespace, so pyinit runs as an ordinary process, a subreaper.")
    return "plain init", demo_on_machine(namespace or SubreaperWay())


def main() -> int:
    """Run the demo; give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=("auto", "container", "namespace"), default="auto")
    options = parser.parse_args()
    try:
        title, rows = choose(options.way)
    except (DemoError, OSError, subprocess.SubprocessError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    say("\nSummary, each line verified:\n")
    for row in (("", title, "pyinit"), *rows):
        say(f"   {row[0]:<24}{row[1]:<36}{row[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
