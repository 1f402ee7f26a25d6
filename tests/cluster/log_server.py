"""The node of played pods: an API object, and the server behind it that has the pods' logs."""

import ssl
from collections.abc import Callable, Sequence

from aiohttp import web

from tests.cluster.api import Api, Document
from tests.cluster.played_pod import ADDRESS, NODE, PlayedPod
from tests.cluster.pod_calls import STRATEGIC, PodCalls


class LogServer:
    """Answers the API server when somebody asks for a pod's log."""

    def __init__(self, api: Api, played: Callable[[], Sequence[PlayedPod]]) -> None:
        assert api.ca
        self._played = played
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(api.ca, api.ca.with_suffix(".key"))
        application = web.Application()
        application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)

    async def start(self, calls: PodCalls) -> None:
        """Listen, and tell the API server where."""
        await self._runner.setup()
        await web.TCPSite(self._runner, ADDRESS, 0, ssl_context=self._tls).start()
        port = self._runner.addresses[0][1]
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        await calls.call("POST", "api/v1/nodes", node)
        await calls.call(
            "PATCH", f"api/v1/nodes/{NODE}/status", {"status": _status(port)}, STRATEGIC
        )

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        asked = request.match_info
        found = [
            pod
            for pod in self._played()
            if (pod.namespace, pod.name) == (asked["namespace"], asked["pod"])
        ]
        if not found:
            raise web.HTTPNotFound(text=f"no pod {asked['pod']}")
        trainer = found[-1].container["name"] == asked["container"]
        text = found[-1].log if trainer else f"log of {asked['container']}\n"
        if lines := request.query.get("tailLines"):
            text = "".join(text.splitlines(keepends=True)[-int(lines) :])
        data = text.encode()
        if limit := request.query.get("limitBytes"):
            data = data[: int(limit)]
        return web.Response(body=data, content_type="text/plain")


def _status(port: int) -> Document:
    return {
        "addresses": [{"type": "InternalIP", "address": ADDRESS}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "conditions": [{"type": "Ready", "status": "True", "reason": "StandIn"}],
        "capacity": {"cpu": "64", "memory": "256Gi", "pods": "1000", "nvidia.com/gpu": "64"},
    }
