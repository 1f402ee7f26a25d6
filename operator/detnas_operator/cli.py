"""`detnas-operator`: runs the operator, or checks whether it could run here."""

import argparse
import asyncio
import gc
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from detnas import __version__
from detnas.errors import UserError
from detnas.process_setup import guard_standard_streams
from detnas_operator.configuration.settings import OperatorSettings, load_settings
from detnas_operator.telemetry.logs import configure_logs

log = logging.getLogger(__name__)

CONFIG = Path("/etc/detnas/operator.yaml")
OK, FAILED, USAGE = 0, 1, 2
_SPARE_CONNECTIONS = 2
"""Beside one for each worker: for the periodic lists."""
_NEW_OBJECTS = 20_000
"""Objects between two collections: reading one search makes thousands, nearly all of which remain
or end without a collection."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0 ended, 1 failed, 2 wrong configuration."""
    guard_standard_streams()
    options = _parser().parse_args(arguments)
    if options.command == "doctor":
        return _doctor(options.namespace, options.manifest, with_pod=options.pod)
    try:
        settings = load_settings(options.config)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return USAGE
    set_store_variables(settings)
    if options.command == "check":
        from detnas_operator.check import check

        return OK if check(settings, sys.stdout.write) else FAILED
    configure_logs(settings.log_level)
    return run(settings)


def _doctor(namespace: str, manifest: Path | None, *, with_pod: bool) -> int:
    """Write each finding as a line of JSON, for `detnas doctor --cluster`."""
    from detnas.spec import load_manifest
    from detnas_operator.doctor.doctor import cluster_findings

    try:
        search = load_manifest(manifest) if manifest is not None else None
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return USAGE
    for finding in cluster_findings(namespace, search, with_pod=with_pod):
        print(finding.model_dump_json(by_alias=True), flush=True)
    return OK


def run(settings: OperatorSettings) -> int:
    """Run the operator until it is asked to stop; return the exit code."""
    from detnas_operator.cluster import KubernetesClient
    from detnas_operator.cluster.cache import ClusterCache
    from detnas_operator.cluster.connection import connect
    from detnas_operator.controller.controller import Controller
    from detnas_operator.controller.lease_keeper import LeaseKeeper
    from detnas_operator.reconcile.reconciler import Reconciler
    from detnas_operator.telemetry.metrics import Metrics

    metrics, cache = Metrics(), ClusterCache()
    try:
        connection = connect(settings.workers + _SPARE_CONNECTIONS)
        client = KubernetesClient(connection, metrics.count_write)
        reconciler = Reconciler(
            settings,
            client,
            cache,
            metrics,
            # The controller is made below; nothing is enqueued before it runs.
            lambda key: controller.queue.enqueue(key, urgent=False),
        )
        LeaseKeeper(reconciler.leases).start()
        metrics.serve(settings.metrics.port)
        controller = Controller(settings, client, cache, metrics, reconciler.reconcile)
        gc.freeze()  # no collection need look at modules and classes again
        gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
        ended = asyncio.run(controller.run())
    except UserError as error:
        log.error("%s", error)  # noqa: TRY400 (it says what to do; a traceback would hide that)
        return FAILED
    except Exception:
        log.exception("the operator failed; Kubernetes restarts it")
        return FAILED
    log.info("stopped; running jobs continue")
    if not ended:
        log.warning("a pass did not end in time; the next process will repeat it")
        logging.shutdown()
        os._exit(OK)  # the pass's thread would keep the process alive
    return OK


def set_store_variables(settings: OperatorSettings) -> None:
    """Point this process's S3 client at the configured server."""
    if settings.storage.endpoint:
        os.environ["AWS_ENDPOINT_URL"] = settings.storage.endpoint
    os.environ["AWS_DEFAULT_REGION"] = settings.storage.region


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="detnas-operator",
        description="Run DetNASSearch resources as Kubernetes Jobs.",
        epilog="Access: KUBECONFIG where it is set, else the pod's service account.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "command",
        nargs="?",
        choices=("run", "check", "doctor"),
        default="run",
        help="check: see whether CRD, permissions and S3 are as the operator needs them; doctor: "
        "whether a user can run a search, for `detnas doctor --cluster`",
    )
    parser.add_argument("--namespace", default="default", help="of the search (doctor)")
    parser.add_argument("--manifest", type=Path, help="of the search (doctor)")
    parser.add_argument("--pod", action="store_true", help="run a pod, too (doctor)")
    parser.add_argument(
        "--config", type=Path, default=CONFIG, help="configuration file (default: %(default)s)"
    )
    return parser
