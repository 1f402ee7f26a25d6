"""Runs a pod's command as a local process, and reports its exit code as the container's."""

import asyncio
import base64
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.api import Document, place
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
from tests.seaweed import DIE_WITH_PARENT

INHERITED = ("PATH", "LANG", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def runs_its_command(local: Mapping[str, str] | None = None) -> Script:
    """Run the pod's command with the pod's environment; `local` replaces what names pod paths.

    The process finds the programs of this Python's environment. A deleted pod's process gets
    SIGTERM, and SIGKILL after the pod's grace period.
    """

    async def script(pod: PlayedPod) -> None:
        await pod.run()
        environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            **await environment_of(pod),
            **(local or {}),
        }
        code = await _run(pod, environment)
        await pod.end(code)

    return script


async def environment_of(pod: PlayedPod) -> dict[str, str]:
    """The variables that a kubelet would give the container."""
    found: dict[str, str] = {}
    for source in pod.container.get("envFrom", []):
        found |= await _secret(pod, source["secretRef"]["name"])
    for variable in pod.container.get("env", []):
        found[variable["name"]] = await _value(pod, variable)
    return found


async def _value(pod: PlayedPod, variable: Document) -> str:
    source = variable.get("valueFrom")
    if not source:
        return variable.get("value", "")
    if reference := source.get("secretKeyRef"):
        return (await _secret(pod, reference["name"]))[reference["key"]]
    path: str = source["fieldRef"]["fieldPath"]
    found: Document = pod.document
    field, _, key = path.partition("[")
    for part in field.split("."):
        found = found[part]
    return str(found[key.strip("'\"]")] if key else found)


async def _secret(pod: PlayedPod, name: str) -> dict[str, str]:
    secret = await pod.calls.call("GET", place("api/v1/secrets", pod.namespace, name))
    assert secret, f"no secret {name} in {pod.namespace}"
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


async def _run(pod: PlayedPod, environment: Mapping[str, str]) -> int:
    name, *arguments = pod.command
    programs = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    program = shutil.which(name, path=programs)
    assert program, f"no program {name}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DIE_WITH_PARENT, program, *arguments),
        env={**environment, "PATH": programs},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    reading = asyncio.create_task(_read(pod, process))
    try:
        return _as_container(await process.wait())
    except asyncio.CancelledError:
        pod.exit_code = _as_container(await _stop(process, pod.grace))
        raise
    finally:
        await reading


async def _read(pod: PlayedPod, process: asyncio.subprocess.Process) -> None:
    assert process.stdout
    async for line in process.stdout:
        pod.log += line.decode(errors="replace")


async def _stop(process: asyncio.subprocess.Process, grace: int) -> int:
    process.terminate()
    try:
        return await asyncio.wait_for(process.wait(), grace)
    except TimeoutError:
        process.kill()
        return await process.wait()


def _as_container(code: int) -> int:
    """A signal's number as a container runtime tells it."""
    return 128 - code if code < 0 else code
