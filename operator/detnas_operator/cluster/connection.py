"""The connection to the API server: address, trust, credentials, single requests."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject, should_bypass_proxies
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
from pydantic_core import from_json

from detnas import __version__
from detnas_operator.cluster.errors import Refused, TooLarge, Unavailable

USER_AGENT = f"detnas-operator/{__version__}"
CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Request:
    """What to send to the server: HTTP verb, path, query, and a body that becomes JSON.

    Attributes:
        max_bytes: of the answer; None for no limit.
    """

    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: object = None
    content_type: str = "application/json"
    max_bytes: int | None = None

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered: HTTP status, headers (any case), and the body."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            Unavailable: it is not JSON: something in between answered for the API server.
        """
        try:
            return from_json(self.data)  # three times as fast as the standard library's
        except ValueError as error:
            problem = f"the API server's answer ({self.status}) is not JSON"
            raise Unavailable(problem, "check proxies in between", status=self.status) from error


class Connection:
    """A pool of connections to one API server, with credentials that renew themselves."""

    def __init__(self, configuration: Any) -> None:
        self.configuration = configuration
        self._pool: urllib3.PoolManager = RESTClientObject(configuration).pool_manager
        self.server = str(configuration.host).rstrip("/")
        self._timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)

    def send(self, request: Request) -> Answer:
        """Send one request, once, and return the answer whatever its status.

        Raises:
            Unavailable: no answer came; what was requested may or may not have been done.
            TooLarge: the answer has more than ``request.max_bytes``.
        """
        body = request.body
        try:
            response = self._pool.request(
                request.method,
                f"{self.server}{request.target}",
                body=None if body is None else json.dumps(body, separators=(",", ":")).encode(),
                headers=self.headers(request.content_type),
                timeout=self._timeout,
                retries=False,
                preload_content=False,
            )
            data = _body(response, request)
        except urllib3.exceptions.HTTPError as error:
            # If one idle connection was cut off silently, the others were, too.
            self._pool.clear()
            problem = f"no answer from the API server at {self.server} ({error})"
            raise Unavailable(problem, "check the network and that it runs") from error
        return Answer(response.status, response.headers, data)

    def authorization(self) -> str:
        """Return the Authorization header's value, read again if it expires; may be empty."""
        token: str | None = self.configuration.get_api_key_with_prefix("BearerToken")
        if token:
            return token
        if self.configuration.username:
            return str(self.configuration.get_basic_auth_token())
        return ""

    @property
    def proxy(self) -> str | None:
        """Return the proxy on the way to the API server, None if there is none."""
        configuration = self.configuration
        direct = should_bypass_proxies(configuration.host, configuration.no_proxy or "")
        return None if direct else configuration.proxy

    def headers(self, content_type: str) -> dict[str, str]:
        """Return the headers of a request, credentials among them."""
        headers = {
            "Accept": "application/json",
            "Content-Type": content_type,
            "User-Agent": USER_AGENT,
        }
        if authorization := self.authorization():
            headers["Authorization"] = authorization
        return headers


def _body(response: urllib3.BaseHTTPResponse, request: Request) -> bytes:
    most = request.max_bytes
    if most is None:
        return response.data
    data = response.read(most + 1)
    if len(data) > most:
        response.close()  # the rest is not worth reading, so the connection cannot be used again
        problem = f"the answer to {request.method} {request.path} has more than {most} bytes"
        raise TooLarge(problem, "remove large annotations from the objects there")
    response.release_conn()
    return data


def connect(connections: int) -> Connection:
    """Return a connection by ``KUBECONFIG`` if it is set, else by the pod's service account.

    Args:
        connections: requests that are sent concurrently without a handshake each.

    Raises:
        Refused: there is neither, or it cannot be read.
    """
    configuration = Configuration()
    try:
        if files := os.environ.get("KUBECONFIG"):
            load_kube_config(files, client_configuration=configuration)
        else:
            load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError) as error:
        problem = f"no way to the Kubernetes API ({str(error).rstrip('.')})"
        remedy = "run in a pod with a service account, or set KUBECONFIG to a kubeconfig file"
        raise Refused(problem, remedy) from error
    configuration.connection_pool_maxsize = connections
    configuration.keep_alive = True
    return Connection(configuration)
