"""What records consist of: fields that a later version must not change (`fields.txt`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from detnas.ledger.segments import Segment
from detnas.ledger.snapshot import Snapshot
from detnas.ledger.trials import Inherited
from detnas.lifecycle.inputs import PoolRetry
from detnas.lifecycle.pools.lease import LeaseRecord
from detnas.lifecycle.pools.trained_pool import TrainedPool
from detnas.lifecycle.record import SearchRecord
from detnas.lifecycle.warm_start.inheritance import InheritanceRequest
from detnas.records.artifacts import ImageListing
from detnas.records.latency import LatencyDevice, LatencyRecord
from detnas.records.progress import Progress
from detnas.records.requests import Request
from detnas.records.results import AnyResult, Attempt
from detnas.schema import added_in
from detnas.spec.manifest import DetNASSearch
from detnas.store.record_format import MINOR
from detnas_operator.search_jobs.gpu_time import StoppedJob

FILE = Path(__file__).with_name("fields.txt")
RECORDS = (
    *(kind for union in (Request, AnyResult) for kind in get_args(get_args(union)[0])),
    *(Attempt, LeaseRecord, ImageListing, Inherited, PoolRetry, Progress, SearchRecord, Segment),
    *(StoppedJob, InheritanceRequest, TrainedPool, LatencyDevice, LatencyRecord),
)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a type is made of, down to their fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    for part in get_args(annotation):
        yield from models_in(part)


MANIFEST = set(models_in(DetNASSearch)) - {
    model for kind in RECORDS if kind is not SearchRecord for model in models_in(kind)
}
"""They are written with their defaults, which may change therefore; None is left out."""
MODELS = sorted({model for kind in RECORDS for model in models_in(kind)}, key=lambda m: m.__name__)


def line(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    default = "required" if field.is_required() else shown(field.default)
    if model in MANIFEST and not field.is_required():
        default = "left out" if field.default is None or added_in(field) else "written"
    stored = name if field.alias in (None, to_camel(name)) else field.alias
    return f"1.{added_in(field)} {model.__name__}.{stored} = {default}"


def shown(default: Any) -> str:
    """A default less its parts that are defaults: those have lines of their own."""
    if isinstance(default, BaseModel):
        given = {name: repr(value) for name, value in default if name in default.model_fields_set}
        return f"{type(default).__name__}({', '.join(f'{n}={v}' for n, v in given.items())})"
    return repr(default)


def test_stored_field_keeps_its_name_and_default() -> None:
    found = {line(model, *field) for model in MODELS for field in model.model_fields.items()}
    known = {text for text in FILE.read_text().splitlines() if text and text[0] != "#"}
    gone, new = sorted(known - found), sorted(found - known)
    assert not gone, f"records of earlier versions have these: {gone}; instead there are {new}"
    assert not new, f"read the head of {FILE.name}, and add these to it: {new}"


def test_newer_field_has_a_default_and_the_newest_format() -> None:
    fields = [field for model in MODELS for field in model.model_fields.values()]
    assert all(not field.is_required() for field in fields if added_in(field))
    assert max(map(added_in, fields)) == MINOR


def test_no_record_has_a_field_named_format() -> None:
    assert not [kind for kind in (*RECORDS, Snapshot) if "format" in kind.model_fields]
