"""`detnas doctor`: whether a machine, or a cluster, can run a search."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from detnas.cli.output import Format, FormatOption, print_lines, print_record
from detnas.cli.planning.validate import missing_files
from detnas.cli.terminal import console
from detnas.doctor.cluster import cluster_findings
from detnas.doctor.machine import machine_facts, machine_findings
from detnas.doctor.stores import s3_data_findings, store_findings
from detnas.doctor.trainer import ask_trainer_machine, trainer_findings
from detnas.findings import Finding, Verdict, faulty, good
from detnas.processors import nvidia_gpus, processors
from detnas.runner.opening import DEFAULT_STORE, store_uri
from detnas.runner.trainer_look import has_trainer
from detnas.spec import DetNASSearch, load_manifest
from detnas.store.cache import default_cache_folder

_STYLES = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAULT: "red"}
_WIDTH = max(map(len, Verdict))
_FAULTS = 1
_NAMESPACE = "default"
"""As kubectl's."""


def doctor(
    manifest: Annotated[
        Path | None, typer.Argument(help="The DetNASSearch that is to run, as YAML or JSON.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            help="Folder or s3:// URI of the store. Default: the manifest's storage.uri, else runs "
            "beside it.",
        ),
    ] = None,
    cluster: Annotated[
        bool,
        typer.Option("--cluster", help="Check a cluster, by KUBECONFIG, in place of this machine."),
    ] = False,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Of the cluster. Default: the manifest's."),
    ] = None,
    pod: Annotated[
        bool,
        typer.Option(
            "--pod",
            help="With --cluster and a manifest: run this command in a pod as the jobs' too, which "
            "pulls the image and reaches store and data; it is deleted.",
        ),
    ] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Check whether this machine, or a cluster, can run a search, and say how to mend each fault.

    Python, processors, memory, shared memory and disks; the trainer's libraries, mmcv's operators
    and the GPUs, as the trainer finds them in a process of its own; the store, in which a small
    object is written, read and deleted; and with a manifest the files that it names, in S3, too.

    Of a cluster: the definition of searches and its version, your rights, the operator and its
    configuration, the namespace with service account and Secret, quotas, GPU nodes, the volume of
    the data set. Objects are only read, unless --pod runs a pod. It needs detnas[operator].

    Exit codes: 0 no fault, though there may be warnings; 1 a fault; 2 the manifest cannot be used.

    Examples:
        detnas doctor

        detnas doctor search.yaml

        detnas doctor --store s3://bucket/prefix -o json

        detnas doctor --cluster -n team-a search.yaml --pod
    """
    search = load_manifest(manifest) if manifest is not None else None
    folder = manifest.parent if manifest is not None else Path()
    if cluster:
        place = namespace or (search.metadata.namespace if search else _NAMESPACE)
        report(cluster_findings(place, manifest, with_pod=pod), output)
    else:
        report(_findings(search, folder, store), output)


def report(findings: Iterable[Finding], output: Format) -> None:
    """Write each finding as soon as it is known, and end with their exit code.

    Raises:
        typer.Exit: there is a fault.
    """
    found: list[Finding] = []
    with console(err=True).status("checking"):
        for one in findings:
            found.append(one)
            if output is Format.TABLE:
                print_lines(_line(one))
    faults = sum(one.verdict is Verdict.FAULT for one in found)
    if output is not Format.TABLE:
        record = {"findings": [one.model_dump(mode="json") for one in found], "faults": faults}
        print_record(record, output)
    if faults:
        raise typer.Exit(_FAULTS)


def _line(finding: Finding) -> Text:
    verdict = finding.verdict
    return Text.assemble((f"{verdict:<{_WIDTH}}  ", _STYLES[verdict]), str(finding))


def _findings(search: DetNASSearch | None, folder: Path, named: str | None) -> Iterator[Finding]:
    uri = _store(search, folder, named)
    places = {"cache": default_cache_folder()}
    if uri.startswith("file:"):
        places = {"store": Path(uri.removeprefix("file://")), **places}
    jobs = search.spec.search.parallelism if search else processors()
    yield from machine_findings(machine_facts(places), jobs, nvidia_gpus())
    yield from _of_trainer(search)
    if not uri.startswith("file:"):
        yield from store_findings(uri)
    if search is not None:
        yield from _of_files(search, folder)


def _store(search: DetNASSearch | None, folder: Path, named: str | None) -> str:
    storage = search.spec.storage if search else None
    stated = storage.uri if storage else None
    return store_uri(named or stated or str(folder / DEFAULT_STORE))


def _of_trainer(search: DetNASSearch | None) -> Iterator[Finding]:
    if not has_trainer():
        yield faulty(
            "trainer",
            "it is not installed here, so `detnas run` has nothing to train with",
            "pip install 'detnas[trainer]'",
        )
        return
    answer = ask_trainer_machine()
    if isinstance(answer, Finding):
        yield answer
        return
    wants_gpu = search is not None and search.spec.evaluation.gpus > 0
    yield from trainer_findings(answer, nvidia_gpus(), wants_gpu=wants_gpu)


def _of_files(search: DetNASSearch, folder: Path) -> Iterator[Finding]:
    """The files that a manifest names, as `detnas validate` looks for them, and those in S3."""
    problems = missing_files(search, folder)
    for problem in problems:
        yield faulty(problem.path, problem.message, "")
    if not problems and search.spec.dataset.source.directory is not None:
        yield good("files that the manifest names", "present")
    yield from s3_data_findings(search.spec)
