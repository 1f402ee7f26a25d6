"""Effects of the data check's result on a search's requests and pool."""

import hashlib
import json
from typing import Any

from detnas.plan.requests import FinalRequests
from detnas.plan.winner import TrainedDetector, Winner
from detnas.records.artifacts import Artifact
from detnas.records.requests import BaseRequest, Request
from detnas.records.results import PrepareResult
from detnas.store.record_format import decode_record, encode_record
from tests.detnas.searches.results import ENCODING, detector, requests

EARLIER = json.dumps(
    {
        "attempt": 1,
        "classes": ["cat", "dog"],
        "digest": "d" * 64,
        "files": {},
        "finished": "2026-01-01T00:00:00Z",
        "kind": "Prepare",
        "message": "",
        "missing": [],
        "outcome": "Succeeded",
        "seconds": {},
        "started": "2026-01-01T00:00:00Z",
        "train": {"boxes": 4, "emptyImages": 0, "images": 3, "sha256": "a" * 64},
        "val": {"boxes": 2, "emptyImages": 1, "images": 2, "sha256": "b" * 64},
        "versions": {},
    }
)
"""A prepare result as earlier versions wrote it."""


def prepared_earlier() -> PrepareResult:
    return PrepareResult.model_validate_json(EARLIER)


def prepared_now(images: str = "1") -> PrepareResult:
    listing = Artifact(key="somewhere/images.json", size=1, sha256=images * 64)
    update: dict[str, Any] = {"files": {"pictures": listing}, "weights": "e" * 64}
    return prepared_earlier().model_copy(update=update)


def test_pool_folder_of_a_search_prepared_earlier_is_unchanged() -> None:
    # Spelled out: another name would train its teachers again.
    assert requests().pool_folder(prepared_earlier()) == "local/pools/2ba33ecb9375f5c2"


def test_pool_folder_of_other_images_under_the_same_labels_differs() -> None:
    folders = {requests().pool_folder(prepared_now(images)) for images in "112"}
    assert len(folders) == 2
    assert requests().pool_folder(prepared_earlier()) not in folders


def test_requests_of_a_search_prepared_earlier_are_unchanged() -> None:
    """Its pinned trainer refuses fields that it does not know: those are left out."""
    built, prepared = requests(), prepared_earlier()
    space, shape = built.spec.teachers.space, built.spec.detector
    student = TrainedDetector(3, detector("t"), space.smallest, shape, 0.5, *_best())
    built_requests: list[Request] = [
        built.base(prepared),
        built.pool_phase(prepared, ()),
        FinalRequests(built).export("f", Winner(student, "it"), prepared, student),
    ]
    digests = [hashlib.sha256(as_before(one)).hexdigest()[:16] for one in built_requests]
    assert digests == [
        "42d26c1d832a31e9",
        "3eb9719bfda80f4b",
        "4e94e67dc3415943",
    ]


def test_requests_state_how_batches_are_drawn_for_searches_prepared_now() -> None:
    base, phase = requests().base(prepared_now()), requests().pool_phase(prepared_now(), ())
    assert (base.by_orientation, phase.by_orientation, phase.own_statistics) == (True,) * 3
    assert json.loads(encode_record(base))["format"] == "1.1"


def as_before(request: Request) -> bytes:
    """The request as earlier versions wrote it: every field that they had."""
    written = json.loads(encode_record(request))
    assert not {"pictures", "weightsSha256", "format"} & written.keys()
    content = json.loads(request.model_dump_json(by_alias=True))
    had = content.keys() - {"pictures", "weightsSha256"}
    if request.kind == "Export":
        assert "annotations" not in written
        had -= {"annotations"}
    kept = {name: content[name] for name in had}
    return json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def test_requests_name_the_digests_of_the_data_check() -> None:
    built, prepared = requests(), prepared_now()
    space, shape = built.spec.teachers.space, built.spec.detector
    student = TrainedDetector(3, detector("t"), space.smallest, shape, 0.5, *_best())
    for request in (
        built.base(prepared),
        built.pool_phase(prepared, ()),
        FinalRequests(built).export("f", Winner(student, "it"), prepared, student),
    ):
        assert request.annotations == ("a" * 64, "b" * 64)
        assert request.image_listing == prepared.files["pictures"]
        assert decode_record(encode_record(request), request.key, type(request)) == request


def test_prepare_request_names_the_bases_weights() -> None:
    built = requests(base={"architecture": ENCODING, "stem": 16, "weights": "base.pth"})
    assert built.prepare().weights == "/place/of/manifest/base.pth"
    base: BaseRequest = built.base(prepared_now())
    assert (base.weights, base.weights_sha256) == (built.prepare().weights, "e" * 64)


def test_base_request_from_backbone_weights_keeps_what_mmdet_keeps() -> None:
    base = {"architecture": ENCODING, "stem": 16, "backboneWeights": "r18.pth", "train": {}}
    built = requests(base=base)
    assert built.prepare().weights == "/place/of/manifest/r18.pth"
    request = built.base(prepared_now())
    assert (request.weights, request.weights_sha256) == (built.prepare().weights, "e" * 64)
    assert (request.weights_part, request.frozen_stages, request.norm_eval) == ("Backbone", 1, True)
    given = {**base, "frozenStages": 0, "normEval": False}
    request = requests(base=given).base(prepared_now())
    assert (request.frozen_stages, request.norm_eval) == (0, False)


def test_requests_state_whether_residual_branches_begin_at_zero() -> None:
    prepared = prepared_now()
    spec = {"base": {"architecture": ENCODING, "stem": 16, "train": {}}}
    assert requests(**spec).base(prepared).zero_init_residual
    spec["base"]["zeroInitResidual"] = False
    built = requests(**spec)
    assert not built.base(prepared).zero_init_residual
    assert built.pool_phase(prepared, ()).zero_init_residual


def test_base_request_from_a_detectors_weights_trains_all_of_it_unless_told() -> None:
    base = {"architecture": ENCODING, "stem": 16, "weights": "r18.pth", "train": {}}
    request = requests(base=base).base(prepared_now())
    assert (request.weights_part, request.frozen_stages) == ("Detector", -1)
    assert not request.norm_eval
    request = requests(base={**base, "frozenStages": 2}).base(prepared_now())
    assert (request.frozen_stages, request.norm_eval) == (2, False)


def _best() -> tuple[Any, float]:
    return requests().spec.resolutions[0], 0.4
