"""What a kubelet asks of the API server, repeated until the server answers."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from tests.cluster.api import Api, Document, place

STRATEGIC = "application/strategic-merge-patch+json"
RETRY_SECONDS = 0.2
CONNECTIONS = 32


class PodCalls:
    """The calls of one event loop; `close` them in the same."""

    def __init__(self, api: Api) -> None:
        self._server = api.server
        verified = ssl.create_default_context(cafile=api.ca)
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=verified)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"Authorization": f"Bearer {api.token}", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=None, connect=10),
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._session.close()

    async def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Document | None:
        """Send a request until it is answered; None where the object is gone or was replaced."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        url = f"{self._server}/{path}"
        while True:
            try:
                async with self._session.request(method, url, data=data, headers=headers) as answer:
                    found: Document = await answer.json()
                    if answer.status < 400:
                        return found
                    if is_gone(answer.status, found["message"]):
                        return None
                    if answer.status not in (409, 429, 500, 503, 504):
                        raise RuntimeError(f"{method} {path}: {found['message']}")
            except (aiohttp.ClientError, ValueError):
                pass  # the server is being restarted
            await asyncio.sleep(RETRY_SECONDS)

    async def patch_status(self, pod: Document, status: Document) -> None:
        """Merge into a pod's status; conditions by type."""
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        await self.call("PATCH", f"{path_of(pod)}/status", body, STRATEGIC)

    async def bind(self, pod: Document, node: str) -> None:
        """Assign a pod to a node, as the scheduler does."""
        metadata = {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        await self.call("POST", f"{path_of(pod)}/binding", body)

    async def delete(self, pod: Document, grace: int | None = 0) -> None:
        """Delete a pod, with its own grace period for None."""
        options: Document = {"preconditions": {"uid": pod["metadata"]["uid"]}}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        await self.call("DELETE", path_of(pod), options)

    async def pods(self) -> AsyncIterator[tuple[str, Document]]:
        """Every change of any pod, without end.

        At first and after a gap ("RELISTED", {uid: pod}) holds all that are there.
        """
        while True:
            try:
                listed = await self.call("GET", "api/v1/pods")
                assert listed is not None
                yield "RELISTED", {pod["metadata"]["uid"]: pod for pod in listed["items"]}
                async for event in self._watch(listed["metadata"]["resourceVersion"]):
                    if event["type"] == "ERROR":
                        break
                    yield event["type"], event["object"]
            except (aiohttp.ClientError, ValueError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _watch(self, version: str) -> AsyncIterator[Document]:
        url = f"{self._server}/api/v1/pods?watch=true&resourceVersion={version}"
        async with self._session.get(url) as answer:
            answer.raise_for_status()
            pending = b""
            async for chunk in answer.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)


def is_gone(status: int, message: str) -> bool:
    """Whether a refusal means that there is nothing left to play."""
    if status == 409:
        return "has been modified" not in message
    return status == 404 or (status == 403 and "being terminated" in message)


def path_of(pod: Document) -> str:
    """The path of a pod."""
    return place("api/v1/pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
