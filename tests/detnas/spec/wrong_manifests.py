"""Wrong manifests, and what is said of them; command line and API server refuse the same ones."""

from tests.detnas.spec.manifests import MINIMAL, REMOVED, Document, Wrong
from tests.detnas.spec.manifests import wrong as _wrong

_AT_MOST_1 = ("less than or equal to 1", "at most 1")
_ABOVE_0 = ("greater than 0", "above 0")
_ENCODING = "[(64, 64)], [(128, 128)], [(256, 256)], [(512, 512)]"
_PHASE = {"epochs": 1, "learningRate": "0.1"}
_TEACHER = {"config": "htc.py", "weights": "htc.pth"}
_S3 = {"s3": "s3://data/coco"}
_DATASET = MINIMAL["spec"]["dataset"]
_R50 = MINIMAL["spec"]["base"]
_CASCADE = {"detector": {"head": "Cascade"}, "distillation": {"localization": "Plain"}}
_R18 = {"model": "faster-rcnn-r18-fpn", "train": {}}
_UPGRADE = {"finetune": {"upgrade": {"dcn": [2, 3, 4]}}}
_STARTS = {**_R50, "backboneWeights": "r50.pth"}


def _base(**fields: object) -> Document:
    return {"train": {}, **fields}


def _nodes(operator: str, *values: str) -> Document:
    one: Document = {"key": "a", "operator": operator, **({"values": [*values]} if values else {})}
    terms = [{"matchExpressions": [one]}]
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    return {"nodeAffinity": {required: {"nodeSelectorTerms": terms}}}


def _phases(**second: object) -> list[Document]:
    return [_PHASE, {**_PHASE, **second}]


IDENTITY = {
    "no name": _wrong("metadata.name", REMOVED, "required"),
    "a name in capitals": _wrong("metadata.name", "R50", "lower-case"),
    "a name that begins with a digit": _wrong("metadata.name", "50r", "a letter first"),
    "a name with a dot": _wrong("metadata.name", "r.50", "lower-case letters, digits and hyphens"),
    "a name too long": _wrong("metadata.name", "a" * 49, "at most 48 characters"),
    "a label that is no text": Wrong("metadata.labels", {"team": 1}, "labels", "string"),
    "a label with a space": _wrong("metadata.labels", {"team": "a b"}, "digits, ", "alphanumeric"),
}

BASE = {
    "no base": _wrong("spec.base", REMOVED, "required"),
    "neither model nor encoding": Wrong(
        "spec.base.model", REMOVED, "spec.base", "either model or architecture"
    ),
    "both model and encoding": Wrong(
        "spec.base.architecture", _ENCODING, "spec.base", "either model or architecture"
    ),
    "an unknown model": _wrong("spec.base.model", "r50", "faster-rcnn-r50-fpn"),
    "nothing to train from": Wrong("spec.base.train", REMOVED, "spec.base", "weights"),
    "no epochs": _wrong("spec.base.train.epochs", 0, "greater than or equal to 1"),
    "no GPU there is": _wrong("spec.base.gpus", -1, "greater than or equal to 0"),
    "more GPUs than a node has": _wrong("spec.base.gpus", 17, "less than or equal to 16"),
    "an encoding of three stages": Wrong(
        "spec.base",
        _base(architecture="[(8, 8)], [(8, 8)], [(8, 8)]"),
        "spec.base",
        "a backbone has 4 stages",
        "four stages",
    ),
    "an encoding cut off": Wrong(
        "spec.base", _base(architecture="[(64, 64)"), "spec.base", "position 9", "four stages"
    ),
    "an encoding of the other family": Wrong(
        "spec.base", _base(architecture=_ENCODING, family="Bottleneck"), "spec.base", "bottleneck"
    ),
    "blocks of two kinds": Wrong(
        "spec.base",
        _base(architecture=_ENCODING.replace("(256, 256)", "(256, 256, 512)")),
        "spec.base",
        "basic",
    ),
    "a width of none": Wrong(
        "spec.base", _base(architecture=_ENCODING.replace("64", "0")), "spec.base", "1 to 65536"
    ),
    "a width beyond all bounds": Wrong(
        "spec.base", _base(architecture=_ENCODING.replace("64", "65537")), "spec.base", "1 to 65536"
    ),
    "an unknown family": Wrong(
        "spec.base",
        _base(architecture=_ENCODING, family="Resnet"),
        "spec.base.family",
        "Bottleneck",
    ),
    "a stem of none": _wrong("spec.base.stem", 0, "greater than or equal to 1"),
    "a group of none": _wrong("spec.base.groupWidth", 0, "greater than or equal to 1"),
    "groups wider than a layer": _wrong("spec.base.groupWidth", 8193, "less than or equal to 8192"),
    "empty weights": _wrong("spec.base.weights", "", "at least 1 char"),
    "empty backbone weights": _wrong("spec.base.backboneWeights", "", "at least 1 char"),
    "weights of a detector and of a backbone": Wrong(
        "spec.base", {**_R50, **_STARTS, "weights": "a.pth"}, "spec.base", "either weights"
    ),
    "backbone weights without training": Wrong(
        "spec.base",
        {"model": "faster-rcnn-r50-fpn", "backboneWeights": "a.pth"},
        "spec.base",
        "train",
    ),
    "frozen stages of random weights": Wrong(
        "spec.base", {**_R50, "frozenStages": 1}, "spec.base", "give train, and weights"
    ),
    "kept norms of an untrained base": Wrong(
        "spec.base",
        {"model": "faster-rcnn-r50-fpn", "weights": "a.pth", "normEval": True},
        "spec.base",
        "give train, and weights",
    ),
    "five frozen stages": Wrong(
        "spec.base", {**_STARTS, "frozenStages": 5}, "spec.base.frozenStages", "4"
    ),
    "an initialisation of a base with weights": Wrong(
        "spec.base", {**_STARTS, "zeroInitResidual": False}, "spec.base", "leave it out"
    ),
    "norms kept in words": Wrong(
        "spec.base", {**_STARTS, "normEval": "yes"}, "spec.base.normEval", "bool"
    ),
}

DATASET = {
    "test images that nothing annotates": Wrong(
        "spec.dataset.testImages", "images", "spec.dataset", "give test"
    ),
    "a test split beside the source": Wrong(
        "spec.dataset",
        {
            "source": {"s3": "s3://data/coco"},
            "train": "train.json",
            "val": "val.json",
            "test": "../test.json",
        },
        "spec.dataset",
        "leads out",
    ),
    "an unknown head": _wrong("spec.detector.head", "Mask", "Standard"),
    "a cascade of one stage": Wrong(
        "spec.detector", {"head": "Cascade", "stages": [{}]}, "spec.detector", "at least two"
    ),
    "a standard head in two stages": Wrong(
        "spec.detector", {"stages": [{}, {}]}, "spec.detector", "one of stages", "one of stages"
    ),
    "anchor scales twice": Wrong(
        "spec.detector", {"anchorScale": 4, "anchorScales": [4, 8]}, "spec.detector", "either"
    ),
    "a box for each class in a cascade": Wrong(
        "spec.detector", {"head": "Cascade"}, "spec", "set it to Plain or None"
    ),
    "a box for each class in a cascade's pool": Wrong(
        "spec",
        {**MINIMAL["spec"], **_CASCADE},
        "spec",
        "teachers.distillation.localization",
    ),
    "a box for each class in a cascade's fine-tuning": Wrong(
        "spec",
        {**MINIMAL["spec"], **_CASCADE, "finetune": {"distillation": {}}},
        "spec",
        "finetune.distillation.localization",
    ),
    "a detector of no library": _wrong("spec.detector.variant", "Detectron2", "Torchvision"),
    "no data set": _wrong("spec.dataset", REMOVED, "required"),
    "an empty path": _wrong("spec.dataset.train", "", "at least 1 char"),
    "a flip above one": _wrong("spec.dataset.horizontalFlip", "1.5", *_AT_MOST_1),
    "a source that is nowhere": _wrong("spec.dataset.source", {}, "for a cluster"),
    "two sources of a cluster": _wrong(
        "spec.dataset.source",
        {**_S3, "persistentVolumeClaim": {"claimName": "coco"}},
        "either persistentVolumeClaim or s3",
    ),
    "a claim without a name": _wrong(
        "spec.dataset.source", {"persistentVolumeClaim": {"path": "coco"}}, "required"
    ),
    "a claim in capitals": _wrong(
        "spec.dataset.source.persistentVolumeClaim", {"claimName": "COCO"}, "lower-case letters"
    ),
    "a path out of the volume": _wrong(
        "spec.dataset.source.persistentVolumeClaim",
        {"claimName": "coco", "path": "../other"},
        "without '..'",
    ),
    "a path from the volume's root": _wrong(
        "spec.dataset.source.persistentVolumeClaim",
        {"claimName": "coco", "path": "/coco"},
        "without a slash at its beginning",
    ),
    "a bucket of another cloud": _wrong("spec.dataset.source.s3", "gs://a/b", "s3://bucket/prefix"),
    "a bucket without a scheme": _wrong("spec.dataset.source.s3", "data/coco", "s3://bucket"),
    "annotations out of the source": Wrong(
        "spec.dataset",
        {**_DATASET, "source": _S3, "train": "../train.json"},
        "spec.dataset",
        "without '..'",
    ),
    "a host path": _wrong("spec.dataset.source.hostPath", "/data", "unknown field"),
}

SPEC = {
    "a typing error": _wrong("spec.serach", {}, "unknown field"),
    "an unknown inner field": _wrong("spec.search.topk", 3, "unknown field"),
    "no resolution": _wrong("spec.resolutions", [], "at least 1 item"),
    "too many resolutions": _wrong(
        "spec.resolutions", [f"{side}x{side}" for side in range(100, 117)], "at most 16 items"
    ),
    "a resolution in words": _wrong("spec.resolutions", ["big"], "such as 1333x800"),
    "a resolution of zero": _wrong("spec.resolutions", ["0x9"], "such as 1333x800"),
    "a resolution as numbers": _wrong("spec.resolutions", [[8, 8]], "WIDTHxHEIGHT", "string"),
    "a resolution twice": Wrong("spec.resolutions", ["8x8", "8x8"], "spec", "list each"),
    "a folder for an address": _wrong("spec.storage.uri", "/d", "file:///folder"),
    "another file system": _wrong("spec.storage.uri", "gs://b", "s3://bucket/prefix"),
    "an address that climbs": _wrong("spec.storage.uri", "s3://b/a/../c", "'..'"),
    "an unknown end of the data": _wrong("spec.storage.onDelete", "Keep", "Retain"),
    "more parents than anybody ranks": _wrong("spec.search.topK", 51, "less than or equal to 50"),
    "an objective without a limit": Wrong(
        "spec.objectives", [{"device": "CPU"}], "spec.objectives[0]", "maxLatencyMs, maxFlops or"
    ),
    "an objective without time": Wrong(
        "spec.objectives", [{"maxLatencyMs": "0"}], "spec.objectives[0].maxLatencyMs", *_ABOVE_0
    ),
    "an mAP above 1": Wrong(
        "spec.objectives", [{"minMap": "41"}], "spec.objectives[0].minMap", *_AT_MOST_1
    ),
    "more objectives than a status shows": _wrong(
        "spec.objectives", [{"maxFlops": 1}] * 9, "at most 8"
    ),
    "an unknown retention": _wrong("spec.retention.weights", "Some", "Needed"),
    "suspended in words": _wrong("spec.suspend", "true", "boolean"),
    "a warm start from itself": Wrong(
        "spec.warmStart", {"from": "r50"}, "spec.warmStart.from", "name another"
    ),
    "a warm start of a pool's search": Wrong(
        "spec",
        MINIMAL["spec"] | {"search": {"strategy": "TeacherPool"}, "warmStart": {"from": "r18"}},
        "spec",
        "leave one of them out",
    ),
    "a warm start from nowhere": _wrong("spec.warmStart", {}, "required"),
    "a warm start from a file": _wrong("spec.warmStart", {"from": "./runs/a"}, "name of a search"),
    "no limit in GPU hours": _wrong("spec.limits.gpuHours", "0", *_ABOVE_0),
    "GPU hours as a number": _wrong("spec.limits.gpuHours", 100, "string"),
    "no failure allowed": _wrong("spec.limits.consecutiveFailures", 0, "or equal to 1"),
    "endless retries": _wrong("spec.limits.retries", 1001, "less than or equal to 1000"),
    "a deadline of nothing": _wrong("spec.deadlines.trial", 0, "greater than or equal to 1"),
    "a deadline with a unit": _wrong(
        "spec.deadlines.trial", "2h", "integer, the number of seconds", "integer"
    ),
}

EXPORT = {
    "an unknown format": _wrong("spec.export.formats", ["Onnx", "TensorRT"], "OpenVINO"),
    "no format": Wrong("spec.export.formats", [], "formats", "at least 1"),
    "an unknown precision": _wrong("spec.export.precisions", ["FP64"], "FP32"),
    "only 8 bits for torch.export": Wrong(
        "spec.export", {"formats": ["Torch"], "precisions": ["INT8"]}, "export", "no precision INT8"
    ),
    "a tolerance above 1": _wrong("spec.export.tolerance", "1.5", *_AT_MOST_1),
    "no calibration image": _wrong(
        "spec.export.calibrationImages", 0, "greater than or equal to 1"
    ),
}

MODEL_CARD = {
    "a licence in capitals": _wrong("spec.modelCard.license", "Apache-2.0", "such as apache-2.0"),
    "a licence with a space": _wrong("spec.modelCard.license", "mit license", "lower case"),
    "a data set by its address": _wrong(
        "spec.modelCard.datasets", ["https://example.com/coco"], "write owner/name"
    ),
    "too many data sets": _wrong("spec.modelCard.datasets", ["coco"] * 17, "at most 16"),
}

TEACHERS = {
    "three depths": _wrong("spec.teachers.depths", {"min": [2, 2, 2]}, "required", "least 4 items"),
    "five depths": _wrong("spec.teachers.depths", {"max": [9, 9, 9, 9, 9]}, "at most 4 items"),
    "depths upside down": Wrong(
        "spec.teachers.depths", {"min": [9, 9, 9, 9]}, "spec.teachers", "at most"
    ),
    "widths falling": Wrong(
        "spec.teachers.widths", ["1.5", "1.0"], "spec.teachers", "rising order"
    ),
    "a width twice": Wrong("spec.teachers.widths", ["1.5", "1.50"], "spec.teachers", "each"),
    "a width as a number": _wrong("spec.teachers.widths", ["1.0", 1.5], "string"),
    "a width of none": _wrong("spec.teachers.widths", ["0", "1.5"], *_ABOVE_0),
    "widths that the default phases lack": Wrong(
        "spec.teachers.widths", ["1.0", "2.0"], "spec.teachers", "phases"
    ),
    "depths that the default phases lack": Wrong(
        "spec.teachers.depths", {"max": [3, 4, 6, 3]}, "spec.teachers", "phases"
    ),
    "a phase of unknown width": Wrong(
        "spec.teachers.phases", _phases(widths=["1.0", "2.0"]), "spec.teachers", "widths"
    ),
    "a phase of unknown middle width": Wrong(
        "spec.teachers.phases", _phases(widths=["1.0", "1.1", "1.5"]), "spec.teachers", "widths"
    ),
    "a phase too shallow": Wrong(
        "spec.teachers.phases", _phases(minDepths=[1, 2, 2, 2]), "spec.teachers", "minDepths"
    ),
    "a phase without the supernet": Wrong(
        "spec.teachers.phases", _phases(widths=["1.0", "1.25"]), "spec.teachers", "supernet stays"
    ),
    "a phase without epochs": _wrong("spec.teachers.phases", [{"learningRate": "0.1"}], "required"),
    "no phases": _wrong("spec.teachers.phases", [], "at least 1 item"),
    "a supernet without its projection": Wrong(
        "spec.teachers.supernet", {"stem": 256}, "spec.teachers", "two different widths"
    ),
    "no workers": _wrong("spec.teachers.workers", 0, "greater than or equal to 1"),
    "an upgrade of a family without deformable convolutions": Wrong(
        "spec", {**MINIMAL["spec"], "base": _R18, **_UPGRADE}, "spec", "finetune.upgrade.dcn"
    ),
    "a cascade under losses of each class's box": Wrong(
        "spec.finetune", {"upgrade": {"cascade": True}}, "spec", "localization to Plain"
    ),
    "a cascade of a cascade": Wrong(
        "spec",
        {
            **MINIMAL["spec"],
            "detector": {"head": "Cascade"},
            "distillation": {"localization": "Plain"},
            "teachers": {"distillation": {"localization": "Plain"}},
            "finetune": {"upgrade": {"cascade": True}},
        },
        "spec",
        "is a cascade already",
    ),
    "an upgrade of a stage twice": Wrong(
        "spec.finetune", {"upgrade": {"dcn": [2, 2]}}, "spec.finetune.upgrade", "once"
    ),
    "an upgrade of a pruned student": Wrong(
        "spec.finetune",
        {"upgrade": {"dcn": [2]}, "flopsFraction": "0.5"},
        "spec.finetune",
        "either upgrade or pruning",
    ),
    "an upgrade of nothing": Wrong(
        "spec.finetune", {"upgrade": {}}, "spec.finetune.upgrade", "changes nothing"
    ),
    "an upgrade of a fifth stage": Wrong(
        "spec.finetune",
        {"upgrade": {"dcn": [5]}},
        "spec.finetune.upgrade.dcn[0]",
        "less than or equal to 4",
    ),
    "an external choice without a teacher": Wrong(
        "spec.teachers.choice", "External", "spec.teachers", "choice External needs external"
    ),
    "an external teacher beside a pool that teaches nothing": Wrong(
        "spec.teachers",
        {"choice": "External", "external": _TEACHER, "pool": "s3://a/b/pools/c"},
        "spec.teachers",
        "leave pool out",
    ),
    "an external teacher with nothing to teach": Wrong(
        "spec.teachers.external", _TEACHER, "spec", "give finetune"
    ),
    "an external teacher beside a pool that a pipeline does not use": Wrong(
        "spec",
        MINIMAL["spec"]
        | {"teachers": {"external": _TEACHER}, "search": {"strategy": "Pipeline"}, "finetune": {}},
        "spec",
        "the pool would teach nothing",
    ),
    "a search of a pool that there is not": Wrong(
        "spec",
        MINIMAL["spec"]
        | {
            "teachers": {"external": _TEACHER, "choice": "External"},
            "search": {"strategy": "TeacherPool"},
        },
        "spec",
        "with teachers.choice: External there is none",
    ),
    "an external teacher without weights": Wrong(
        "spec.teachers",
        {"choice": "External", "external": {"config": "htc.py"}},
        "spec.teachers.external.weights",
        "required",
    ),
    "a pool that is nowhere": _wrong("spec.teachers.pool", "pools/abc", "s3://bucket/prefix"),
}

SEARCH = {
    "a baseline twice": Wrong(
        "spec.baselines", ["Scaled", "Scaled"], "spec", "list each once", "list each baseline once"
    ),
    "an unknown baseline": Wrong(
        "spec.baselines", ["Smaller"], "spec.baselines[0]", "OneShotPruned"
    ),
    "baselines of subnets": Wrong(
        "spec",
        {**MINIMAL["spec"], "search": {"strategy": "TeacherPool"}, "baselines": ["Scaled"]},
        "spec",
        "evolves no student",
    ),
    "baselines of an upgraded student": Wrong(
        "spec", {**MINIMAL["spec"], **_UPGRADE, "baselines": ["Scaled"]}, "spec", "upgrade"
    ),
    "pruned in two ways": _wrong(
        "spec.finetune",
        {"channelFraction": "0.1", "flopsFraction": "0.5"},
        "give either channelFraction or flopsFraction",
    ),
    "more candidates than are fine-tuned": Wrong(
        "spec.finetune", {"candidates": 17}, "spec.finetune.candidates", "16"
    ),
    "several subnets to be fine-tuned": Wrong(
        "spec",
        {
            **MINIMAL["spec"],
            "search": {"strategy": "TeacherPool"},
            "finetune": {"candidates": 2},
        },
        "spec",
        "leave finetune.candidates out",
    ),
    "latencies of cores and GPUs": Wrong(
        "spec",
        {**MINIMAL["spec"], "search": {"objective": "Latency"}, "evaluation": {"gpus": 0}},
        "spec",
        "compares times of one kind of device",
    ),
    "latencies of GPUs, and a fine-tuning on cores": Wrong(
        "spec",
        {**MINIMAL["spec"], "search": {"objective": "Latency"}, "finetune": {"gpus": 0}},
        "spec",
        "compares times of one kind of device",
    ),
    "an unknown objective": _wrong("spec.search.objective", "Energy", "Flops"),
    "pruned entirely": _wrong("spec.finetune.flopsFraction", "1", "less than 1", "below 1"),
    "no trials": _wrong("spec.search.trials", 0, "greater than or equal to 1"),
    "trials without end": _wrong("spec.search.trials", 10_001, "less than or equal to 10000"),
    "trials as text": _wrong("spec.search.trials", "3", "integer"),
    # Kubernetes says integer or, later, int64.
    "trials as truth": _wrong("spec.search.trials", True, "integer", "must be of type int"),
    "half a trial": _wrong("spec.search.trials", 2.5, "integer"),
    "too much at once": _wrong("spec.search.parallelism", 1001, "less than or equal to 1000"),
    "an unknown strategy": _wrong("spec.search.strategy", "Greedy", "Joint"),
    "a fraction as a number": _wrong("spec.search.alpha", 0.4, "string"),
    "a fraction as a whole number": _wrong("spec.search.beta", 1, "string"),
    "a fraction with an exponent": _wrong("spec.search.alpha", "4e-1", "plain decimal number"),
    "a fraction below zero": _wrong("spec.search.alpha", "-0.4", "plain decimal number"),
    "a fraction of many digits": _wrong("spec.search.alpha", "0.1234567890123", "12", "13"),
    "a chance above one": _wrong("spec.search.studentProbability", "1.01", *_AT_MOST_1),
    "pruning everything": _wrong(
        "spec.search.actions.channelFraction", "1", "less than 1", "below 1"
    ),
    "a seed that JSON can not hold": _wrong("spec.search.seed", 2**53, "less than or equal to"),
    "a learning rate of zero": _wrong("spec.evaluation.learningRate", "0", *_ABOVE_0),
    "a learning rate in words": _wrong("spec.evaluation.learningRate", "fast", "plain decimal"),
    "an unknown schedule": _wrong("spec.evaluation.schedule", "Linear", "Cosine"),
    "an unknown choice of teachers": _wrong("spec.teachers.choice", "Always", "PerIteration"),
    "an unknown length of trials": _wrong("spec.evaluation.mode", "Long", "Iterative"),
    "a text for inheritance": _wrong("spec.evaluation.inherit", "no", "boolean"),
    "an unknown loss": _wrong("spec.distillation.features", "All", "Proposal"),
}

JOBS = {
    "an image with a space": _wrong("spec.jobs.image", "a b", "a tag or a digest"),
    "an image in capitals": _wrong("spec.jobs.image", "Team/Trainer", "a tag or a digest"),
    "an unknown pull policy": _wrong("spec.jobs.imagePullPolicy", "Sometimes", "IfNotPresent"),
    "a service account": _wrong("spec.jobs.serviceAccountName", "admin", "unknown field"),
    "volumes": _wrong("spec.jobs.volumes", [], "unknown field"),
    "memory as a number": _wrong(
        "spec.jobs.resources.memory", 8, 'write it as a string: "8"', "string"
    ),
    "memory in an unknown unit": _wrong("spec.jobs.resources.memory", "8GB", "such as 500Mi"),
    "no memory": _wrong("spec.jobs.sharedMemory", "0", "such as 500Mi"),
    "cores as a number": _wrong("spec.jobs.resources.cpu", 4, "string"),
    "cores in bytes": _wrong("spec.jobs.resources.cpu", "4Gi", '"500m"'),
    "GPUs as a resource": _wrong("spec.jobs.resources.gpu", "1", "unknown field"),
    "a pull secret in capitals": _wrong("spec.jobs.imagePullSecrets", ["Mine"], "lower-case"),
    "a pull secret as an object": _wrong(
        "spec.jobs.imagePullSecrets",
        [{"name": "a"}],
        "write a plain string, such as a",
        "unknown field",
    ),
    "a node's label with a space": _wrong("spec.jobs.nodeSelector", {"a": "b c"}, "underscores"),
    "a key with a space": _wrong("spec.jobs.nodeSelector", {"a b": "c"}, "a slash and a name"),
    "a reserved label": _wrong(
        "spec.jobs.podLabels", {"detnas.dev/search": "other"}, "may not begin with detnas.dev/"
    ),
    "an unconfined pod": _wrong(
        "spec.jobs.podAnnotations",
        {"container.apparmor.security.beta.kubernetes.io/trainer": "unconfined"},
        "is reserved",
    ),
    "too many labels": _wrong(
        "spec.jobs.podLabels", {f"key-{number}": "" for number in range(33)}, "at most 32"
    ),
    "a taint without a key": _wrong("spec.jobs.tolerations", [{"value": "a"}], "operator: Exists"),
    "a taint of any value": _wrong(
        "spec.jobs.tolerations", [{"key": "a", "operator": "Exists", "value": "b"}], "write Equal"
    ),
    "a taint for a while": _wrong(
        "spec.jobs.tolerations", [{"key": "a", "tolerationSeconds": 9}], "effect: NoExecute"
    ),
    "an unknown effect": _wrong(
        "spec.jobs.tolerations", [{"key": "a", "effect": "NoRun"}], "NoSchedule"
    ),
    "a queue in capitals": _wrong("spec.jobs.queueName", "Team", "lower-case"),
    "a queue in capitals for trials": _wrong("spec.jobs.trial.queueName", "Team", "lower-case"),
    "no time in the queue": _wrong("spec.jobs.queueSeconds", 0, "greater than or equal to 1"),
    "an image for one kind": _wrong("spec.jobs.pool.image", "a:1", "unknown field"),
    "a variable of the loader": _wrong("spec.jobs.env", {"LD_PRELOAD": "x"}, "NCCL_"),
    "a variable as a number": _wrong("spec.jobs.env", {"NCCL_DEBUG": 1}, "string"),
    "a device without a domain": _wrong(
        "spec.jobs.resources", {"extended": {"hca": "1"}}, "such as nvidia.com/gpu"
    ),
    "half a device": _wrong("spec.jobs.resources", {"extended": {"rdma/hca": "0.5"}}, "an integer"),
    "a GPU without a domain": _wrong("spec.jobs.gpuResource", "gpu", "such as nvidia.com/gpu"),
    "nodes by no value": _wrong("spec.jobs.affinity", _nodes("In"), "give at least one"),
    "nodes by a value too many": _wrong(
        "spec.jobs.affinity", _nodes("Exists", "a"), "leave values out"
    ),
    "nodes above a word": _wrong("spec.jobs.affinity", _nodes("Gt", "many"), "one integer"),
    "pods by the order of a label": _wrong(
        "spec.jobs.topologySpreadConstraints",
        [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]},
            }
        ],
        "DoesNotExist",
    ),
    "a skew of nothing": _wrong(
        "spec.jobs.topologySpreadConstraints",
        [{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "greater than or equal to 1",
    ),
    "pods near others for one kind": _wrong(
        "spec.jobs.trial.affinity",
        {"podAffinity": {}},
        "exists only in spec.jobs.affinity",
        "unknown field",
    ),
    "labels for one kind": _wrong(
        "spec.jobs.trial.podLabels", {}, "exists only in spec.jobs,", "unknown field"
    ),
    "an endless grace period": _wrong(
        "spec.jobs.terminationGracePeriodSeconds", 86_401, "less than or equal to 86400"
    ),
}

WRONG = {
    **IDENTITY,
    **BASE,
    **DATASET,
    **SPEC,
    **EXPORT,
    **MODEL_CARD,
    **TEACHERS,
    **SEARCH,
    **JOBS,
}
