"""A way to the API server that can fall silent, as networks do: nothing ends, nothing arrives."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK = 65536


class Proxy:
    """Passes bytes on between its own port and a server's.

    Attributes:
        url: where it listens.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.removeprefix("https://").rpartition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._silent: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """Pass nothing on any more on the connections there are; new ones work."""
        self._silent |= self._open

    def hold(self) -> None:
        """Pass nothing on at all until ``release``, on new connections neither."""
        self._flowing.clear()

    def release(self) -> None:
        """End what ``hold`` began; connections of before stay silent."""
        self.silence()
        self._flowing.set()

    def close(self) -> None:
        """End everything."""
        self._listener.close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._flowing.wait()
        try:
            server = socket.create_connection(self._server)
        except OSError:
            client.close()
            return
        self._open |= {client, server}
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                self._flowing.wait()
                if source in self._silent:
                    return  # both sides stay open, and hear no more
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_of(server: str) -> Iterator[Proxy]:
    """Stand between a caller and the server for a while."""
    proxy = Proxy(server)
    try:
        yield proxy
    finally:
        proxy.close()
