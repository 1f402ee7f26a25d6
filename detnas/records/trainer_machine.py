"""What the trainer answers `detnas doctor` of this machine; never stored."""

from detnas.schema import Count, Flag, Schema


class GpuFacts(Schema):
    """One GPU.

    Attributes:
        name: of it.
        memory: bytes.
        problem: why a small computation on it failed; empty if it did not.
    """

    name: str
    memory: Count
    problem: str = ""


class TrainerMachine(Schema):
    """What the trainer's libraries find.

    Attributes:
        versions: of the libraries that were imported, by name.
        missing: why libraries could not be imported, by name.
        cuda: version that torch was built for; empty for none.
        gpus: that torch can use.
        gpu_problem: why torch can use none although it was built for them; empty if unknown.
        compiled_operators: mmcv's own are used; else torchvision's stand in for them.
        operators_problem: why they do not compute; empty if they do.
        threads: with which torch computes.
    """

    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    cuda: str = ""
    gpus: tuple[GpuFacts, ...] = ()
    gpu_problem: str = ""
    compiled_operators: Flag = False
    operators_problem: str = ""
    threads: Count = 0
