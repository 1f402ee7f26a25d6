"""A proxy before S3 that accepts what concerns some tenant, and never answers."""

from aiohttp import web

from tests.cluster.fault_proxy import FaultProxy


class HangingProxy(FaultProxy):
    """Hangs for every request whose path or query names `silent_for`; empty: for none."""

    silent_for = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.silent_for and self.silent_for in request.raw_path:
            await self._closing.wait()  # or until the caller gives up
        return await super()._handle(request)
