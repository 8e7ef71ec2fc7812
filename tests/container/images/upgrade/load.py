"""Asks the web server on port 80 for pages without a pause, until standard input ends.

Half of the threads make a new connection for each request, half keep theirs; one more downloads a large file and stops
reading in its middle until a line comes on standard input. Prints a line for

    worker PID                     the first answer of a worker
    answered NUMBER                every 100 answers
    downloading                    the beginning of the large file is here
    downloaded BYTES               all of it, or what came of it, is here
    failed WHAT                    a request that was not answered as it must be
    over REQUESTS FAILED REPEATED  at the end

A server may close a connection that is kept while a request is on its way. A client then repeats it on a new one
(RFC 9112, 9.3.1); that is counted, and no failure unless it fails there, too.
"""

import socket
import sys
import threading

THREADS = 4
STEP = 100
LIMIT_S = 30.0
REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: %s\r\n\r\n"


class CutError(Exception):
    """The server has closed a connection before the first byte of an answer."""


class Tally:
    """What the threads have seen, printed as it comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: set[int] = set()
        self.requests = 0
        self.failed = 0
        self.repeated = 0

    def say(self, *words: object) -> None:
        """Print one line."""
        print(*words, flush=True)

    def answered(self, worker: int) -> None:
        """Count an answer."""
        with self._lock:
            self.requests += 1
            if worker not in self._workers:
                self._workers.add(worker)
                self.say("worker", worker)
            if self.requests % STEP == 0:
                self.say("answered", self.requests)

    def repeat(self) -> None:
        """Count a request that has to be made again."""
        with self._lock:
            self.repeated += 1

    def fail(self, what: object) -> None:
        """Count a failure."""
        with self._lock:
            self.requests += 1
            self.failed += 1
            self.say("failed", repr(what))


class Connection:
    """One connection to the server."""

    def __init__(self, buffer: int = 0) -> None:
        self._socket = socket.socket()
        if buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.settimeout(LIMIT_S)
        try:
            self._socket.connect(("127.0.0.1", 80))
        except BaseException:
            self._socket.close()
            raise
        self._data = b""

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def begin(self, path: bytes, connection: bytes) -> dict[str, str]:
        """Ask for a path; return the answer's header. Raises CutError, or OSError or ValueError for what is wrong."""
        try:
            self._socket.sendall(REQUEST % (path, connection))
            self._data = self._socket.recv(4096)
        except (BrokenPipeError, ConnectionResetError):
            raise CutError from None
        if not self._data:
            raise CutError
        while b"\r\n\r\n" not in self._data:
            self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        if status != "HTTP/1.1 200 OK":
            raise ValueError(status)
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def body(self, length: int) -> int:
        """Read the rest of an answer; return the number of bytes."""
        got = len(self._data)
        while got < length:
            self._data = b""
            self._more()
            got += len(self._data)
        return got

    def _more(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ValueError("the answer ends too early")
        self._data += data


def ask(connection: Connection, keep: bool) -> tuple[int, bool]:  # noqa: FBT001
    """Make one request; return (the worker that has answered, whether the connection can be used again)."""
    header = connection.begin(b"/", b"keep-alive" if keep else b"close")
    if connection.body(int(header["content-length"])) != len("ok\n"):
        raise ValueError("another body")
    return int(header["x-worker"]), header.get("connection") == "keep-alive"


def new_connections(tally: Tally, over: threading.Event) -> None:
    """Make a new connection for each request."""
    while not over.is_set():
        try:
            connection = Connection()
            try:
                tally.answered(ask(connection, keep=False)[0])
            finally:
                connection.close()
        except (CutError, OSError, ValueError) as error:
            tally.fail(error)


def kept_connection(tally: Tally, over: threading.Event) -> None:
    """Keep the connection as long as the server does."""
    connection, used = None, False
    while not over.is_set():
        try:
            connection = connection or Connection()
            worker, used = ask(connection, keep=True)
            tally.answered(worker)
            if not used:
                connection.close()
                connection = None
        except CutError as error:
            assert connection is not None
            connection.close()
            connection = None
            if used:
                tally.repeat()
            else:
                tally.fail(error)
            used = False
        except (OSError, ValueError) as error:
            tally.fail(error)
            if connection is not None:
                connection.close()
            connection, used = None, False
    if connection is not None:
        connection.close()


def large_file(tally: Tally, go_on: threading.Event) -> None:
    """Download a file, and stop in its middle until somebody says so."""
    try:
        connection = Connection(buffer=1 << 14)
        header = connection.begin(b"/large", b"close")
        tally.say("downloading")
        go_on.wait()
        tally.say("downloaded", connection.body(int(header["content-length"])))
        connection.close()
    except (CutError, OSError, ValueError) as error:
        tally.say("downloaded", repr(error))


def main() -> None:
    """Begin, and end with standard input."""
    tally, over, go_on = Tally(), threading.Event(), threading.Event()
    threads = [
        threading.Thread(target=target, args=(tally, over))
        for target in (new_connections, kept_connection)
        for _ in range(THREADS // 2)
    ]
    threads.append(threading.Thread(target=large_file, args=(tally, go_on)))
    for thread in threads:
        thread.start()
    if sys.stdin.readline():
        go_on.set()
        sys.stdin.read()
    over.set()
    go_on.set()
    for thread in threads:
        thread.join()
    tally.say("over", tally.requests, tally.failed, tally.repeated)


if __name__ == "__main__":
    main()
