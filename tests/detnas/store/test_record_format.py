"""Records of other versions: older ones are read, newer ones as far as that is safe."""

import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from detnas.schema import Schema, Tagged, added
from detnas.store import Store, record_format
from detnas.store.artifacts import create_record, load_record
from detnas.store.errors import AlreadyExists, CorruptRecord, NewerRecord
from detnas.store.record_format import decode_record, encode_record
from tests.stored import content

URI = "s3://bucket/job/request.json"


class Part(Schema):
    size: int = 1


class Asked(Tagged):
    kind: Literal["Asked"] = "Asked"
    key: str
    part: Part = Part()
    parts: tuple[Part, ...] = ()
    batch: int = 8


class LaterPart(Part):
    colour: str = added(2, "grey")


class LaterAsked(Asked):
    """The same record in a later version: two fields more, one in its parts."""

    part: LaterPart = LaterPart()
    parts: tuple[LaterPart, ...] = ()
    retries: int | None = added(1)


class Other(Tagged):
    kind: Literal["Other"] = "Other"


Either = Annotated[Asked | Other, Field(discriminator="kind")]
ASKED = Asked(key="a", parts=(Part(size=2), Part()))
FULL = ASKED.model_dump_json(by_alias=True).encode()


@pytest.fixture(autouse=True)
def first_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader knows no later format than that of the models above."""
    monkeypatch.setattr(record_format, "MINOR", 0)


def with_format(stated: Any, **fields: Any) -> bytes:
    return json.dumps({"kind": "Asked", "key": "a", "format": stated, **fields}).encode()


def test_defaults_are_left_out_and_the_kind_is_not() -> None:
    assert json.loads(encode_record(ASKED)) == {
        "key": "a",
        "kind": "Asked",
        "parts": [{"size": 2}, {}],
    }
    assert decode_record(encode_record(ASKED), URI, Asked) == ASKED
    assert decode_record(encode_record(ASKED), URI, Either) == ASKED


def test_record_written_in_full_by_an_earlier_version_is_read() -> None:
    assert b'"batch":8' in FULL
    assert decode_record(FULL, URI, Asked) == ASKED


def test_record_states_the_oldest_format_that_has_all_it_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record_format, "MINOR", 2)
    unused = LaterAsked(key="a", part=LaterPart(), parts=(LaterPart(size=2),), retries=None)
    assert decode_record(encode_record(unused), URI, Asked)  # as strict as ever
    for used, stated in (
        (LaterAsked(key="a", retries=0), "1.1"),
        (LaterAsked(key="a", retries=1, parts=(LaterPart(colour="red"),)), "1.2"),
        (LaterAsked(key="a", part=LaterPart(colour="red")), "1.2"),
    ):
        assert json.loads(encode_record(used))["format"] == stated
        assert decode_record(encode_record(used), URI, LaterAsked) == used


def test_fields_of_a_newer_minor_format_are_ignored_in_all_parts() -> None:
    later = LaterAsked(key="a", retries=3, parts=(LaterPart(size=2, colour="red"),))
    for kind in (Asked, Either):
        found = decode_record(encode_record(later), URI, kind)
        assert found == Asked(key="a", parts=(Part(size=2),))


@pytest.mark.parametrize("stated", [None, "1.0"])
def test_unknown_field_of_a_known_format_is_an_error(stated: str | None) -> None:
    fields: dict[str, Any] = {"retries": 3} | ({"format": stated} if stated else {})
    data = json.dumps({"kind": "Asked", "key": "a", **fields}).encode()
    with pytest.raises(CorruptRecord, match="request.json is no Asked: retries: Extra inputs"):
        decode_record(data, URI, Asked)


def test_wrong_value_in_a_newer_minor_format_is_an_error() -> None:
    with pytest.raises(CorruptRecord, match="batch: Input should be a valid integer"):
        decode_record(with_format("1.7", batch="many"), URI, Asked)


def test_newer_major_format_is_named_with_what_to_do() -> None:
    with pytest.raises(NewerRecord) as raised:
        decode_record(with_format("2.1", batch="many"), URI, Asked)
    assert f"{URI} has format 2.1; this version of detnas reads 1.0 to 1." in raised.value.problem
    assert raised.value.remedy == "use the version of detnas that wrote it, or a later one"


@pytest.mark.parametrize("stated", [1.1, "1", "1.0.0", "01.0", "1.x", "", [], "0.9"])
def test_malformed_format_is_an_error(stated: Any) -> None:
    with pytest.raises(CorruptRecord, match="is no format such as 1.0"):
        decode_record(with_format(stated), URI, Asked)


@pytest.mark.parametrize("data", [b'"format"', b'{"format"', b'["format"]', b'{"format": "1.1"}'])
def test_damaged_record_with_a_format_is_an_error(data: bytes) -> None:
    with pytest.raises(CorruptRecord, match="request.json is no Asked"):
        decode_record(data, URI, Asked)


def test_record_of_equal_meaning_may_be_created_again(store: Store) -> None:
    store.put("full.json", FULL)
    create_record(store, "full.json", ASKED)
    create_record(store, "full.json", LaterAsked.model_validate_json(FULL))
    assert content(store, "full.json") == FULL
    for other in (Asked(key="a"), ASKED.model_copy(update={"batch": 9}), Other()):
        with pytest.raises(AlreadyExists):
            create_record(store, "full.json", other)


def test_record_of_a_newer_version_is_kept(store: Store) -> None:
    later = LaterAsked(key="a", retries=3)
    create_record(store, "later.json", later)
    create_record(store, "later.json", Asked(key="a"))
    assert load_record(store, "later.json", Asked) == Asked(key="a")
    assert json.loads(content(store, "later.json"))["retries"] == 3
