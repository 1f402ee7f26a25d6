"""Manifests that command line and API server both take."""

from pathlib import Path

import yaml

from tests.detnas.spec.manifests import MINIMAL, Document, changed

_ROOT = Path(__file__).parents[3]
_PHASES = [
    {"epochs": 1, "learningRate": "0.1"},
    {"epochs": 1, "learningRate": "0.1", "minDepths": [1, 2, 2, 2], "widths": ["1.0", "2"]},
]
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NODE = {
    "matchExpressions": [
        {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["H100", "H200"]},
        {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["40000"]},
        {"key": "spot", "operator": "DoesNotExist"},
    ]
}
_NODES = {
    _REQUIRED: {"nodeSelectorTerms": [_NODE]},
    _PREFERRED: [{"weight": 1, "preference": _NODE}],
}
_PODS = {
    "labelSelector": {
        "matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["noisy"]}]
    },
    "topologyKey": "kubernetes.io/hostname",
}

EVERYTHING: Document = {
    "apiVersion": "detnas.dev/v1alpha1",
    "kind": "DetNASSearch",
    "metadata": {
        "name": "a" * 48,
        "labels": {"example.com/team": "vision"},
        "annotations": {"note": "any text, really"},
    },
    "spec": {
        "base": {
            "architecture": "[ (8,8) - (8, 8)],[(16, 16)], [(32, 32)] , [(65536, 1)]",
            "family": "Basic",
            "stem": 8,
            "weights": "s3://models/base.pth",
            "train": {"epochs": 1, "learningRate": "0.02", "batchSize": 4, "schedule": "Step"},
            "gpus": 0,
        },
        "dataset": {
            "source": {
                "directory": "../coco",
                "persistentVolumeClaim": {"claimName": "coco.2017", "path": "a/b"},
            },
            "train": "train.json",
            "val": "val.json",
            "trainImages": "images/train",
            "valImages": "",
            "test": "test.json",
            "testImages": "images/test",
            "horizontalFlip": "0",
        },
        "detector": {"neck": 64, "variant": "Torchvision"},
        "resolutions": ["64x64", "128x96"],
        "teachers": {
            "depths": {"min": [1, 1, 1, 1], "max": [2, 3, 3, 3]},
            "widths": ["1.0", "1.25", "2.0"],
            "supernet": {"stem": 32, "outputs": [40, 80, 160, 320]},
            "phases": _PHASES,
            "distillation": {"bnWeight": "0.0"},
            "sortChannels": False,
            "workers": 4,
            "gpusPerWorker": 8,
            "choice": "PerIteration",
            "external": {"config": "s3://models/htc.py", "weights": "htc.pth"},
            "pool": "s3://detnas/team-a/pools/0123456789abcdef",
        },
        "search": {
            "strategy": "Joint",
            "trials": 10_000,
            "parallelism": 1000,
            "topK": 50,
            "selection": "Shrunk",
            "objective": "Flops",
            "warmupTrials": 0,
            "patience": 1,
            "alpha": "0",
            "beta": "0.5",
            "studentProbability": "1",
            "seed": 2**53 - 1,
            "actions": {"channelFraction": "0.000001", "layerNorm": "Mean"},
        },
        "evaluation": {"epochs": 0, "inherit": False, "mode": "Full", "gpus": 16},
        "distillation": {"features": "GaussianMask", "localization": "Plain"},
        "finetune": {
            "epochs": 1,
            "gpus": 2,
            "flopsFraction": "0.5",
            "resolution": "800x600",
            "distillation": {"localization": "Plain"},
        },
        "export": {
            "formats": ["Mmdet", "Onnx", "OpenVINO", "Torch"],
            "precisions": ["FP32", "FP16", "INT8"],
            "tolerance": "0.02",
            "calibrationImages": 16,
        },
        "baselines": ["ContinuedBase"],
        "objectives": [
            {"name": "edge", "device": "CPU", "maxLatencyMs": "12.5"},
            {"maxFlops": 2**53 - 1, "minMap": "1"},
        ],
        "modelCard": {"license": "apache-2.0", "datasets": ["detection-datasets/coco", "coco"]},
        "retention": {"weights": "All"},
        "storage": {"uri": "s3://detnas/experiments", "onDelete": "Delete"},
        "evaluationBatch": 1,
        "warmStart": {"from": "another"},
        "suspend": True,
        "limits": {
            "gpuHours": "100.5",
            "consecutiveFailures": 1,
            "retries": 0,
            "resumptions": 1000,
        },
        "deadlines": dict.fromkeys(
            ("prepare", "base", "poolPhase", "trial", "finetune", "export"), 31_622_400
        ),
        "jobs": {
            "image": "registry.example:5000/team/trainer:1.0@sha256:" + "0123456789abcdef" * 4,
            "imagePullPolicy": "IfNotPresent",
            "imagePullSecrets": ["mine"],
            "resources": {
                "cpu": "0.5",
                "memory": "1.5Gi",
                "ephemeralStorage": "500M",
                "extended": {"rdma/hca": "1"},
            },
            "gpuResource": "nvidia.com/mig-1g.10gb",
            "nodeSelector": {"nvidia.com/gpu.product": "H100", "node-role.kubernetes.io/gpu": ""},
            "tolerations": [
                {"operator": "Exists"},
                {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 0},
            ],
            "affinity": {
                "nodeAffinity": _NODES,
                "podAffinity": {_REQUIRED: [_PODS]},
                "podAntiAffinity": {_PREFERRED: [{"weight": 100, "podAffinityTerm": _PODS}]},
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": _PODS["labelSelector"],
                },
            ],
            "priorityClassName": "low",
            "schedulerName": "volcano",
            "runtimeClassName": "nvidia",
            "queueName": "team-a",
            "queuePriorityClass": "low",
            "queueSeconds": 86400,
            "podLabels": {"azure.workload.identity/use": "true"},
            "podAnnotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
            "env": {"NCCL_IB_HCA": "=mlx5_0:1", "FI_PROVIDER": "efa"},
            "sharedMemory": "64Mi",
            "cacheSize": "1Ti",
            "terminationGracePeriodSeconds": 0,
            "prepare": {
                "resources": {"cpu": "2"},
                "nodeSelector": {},
                "tolerations": [],
                "affinity": {"nodeAffinity": _NODES},
                "queueName": "cpus",
                "env": {},
            },
            "pool": {"priorityClassName": "high", "cacheSize": "2Ti"},
            "trial": {"gpuResource": "nvidia.com/gpu", "sharedMemory": "1Gi"},
            **{kind: {} for kind in ("base", "finetune", "export")},
        },
    },
}

_RESNEXT: Document = {
    "architecture": "[(64, 64, 8)], [(64, 64, 8)], [(64, 64, 8)], [(64, 64, 8)]",
    "family": "ResNeXt",
    "groupWidth": 8,
    "train": {},
}
_MOBILENET_V2: Document = {
    "architecture": "[(8, 4)], [(8, 4)], [(8, 4)], [(8, 4)]",
    "family": "MobileNetV2",
    "stem": 16,
    "train": {},
}

VALID: dict[str, Document] = {
    "the least": MINIMAL,
    "everything": EVERYTHING,
    "the example of digits": yaml.safe_load((_ROOT / "examples/digits/search.yaml").read_text()),
    **{
        f"the example of COCO with {path.stem}": yaml.safe_load(path.read_text())
        for path in sorted((_ROOT / "examples/coco").glob("*.yaml"))
    },
    "an encoding of ResNeXt": changed("spec.base", _RESNEXT),
    "an encoding of MobileNetV2": changed("spec.base", _MOBILENET_V2),
    "a cascade": {
        **MINIMAL,
        "spec": {
            **MINIMAL["spec"],
            "detector": {
                "head": "Cascade",
                "stages": [{"iou": "0.5"}, {"iou": "0.6", "stds": ["0.05"] * 4}],
                "anchorScales": [4, 8],
                "pixels": {"order": "BGR", "std": ["1", "1", "1"]},
                "boxes": {"scoreThreshold": "0.001"},
            },
            "distillation": {"localization": "Plain"},
            "teachers": {"distillation": {"localization": "Plain"}},
        },
    },
    "data in a bucket": changed("spec.dataset.source", {"s3": "s3://data/coco"}),
    "fields without values": changed("spec.storage", None),
    "empty sections": changed(
        "spec",
        {
            **MINIMAL["spec"],
            **{name: {} for name in ("teachers", "search", "jobs", "limits", "storage")},
        },
    ),
    "weights of a backbone": changed("spec.base.backboneWeights", "s3://models/resnet50.pth"),
    "weights of a backbone that is trained entirely": changed(
        "spec.base",
        {
            "model": "faster-rcnn-r18-fpn",
            "backboneWeights": "resnet18.pth",
            "frozenStages": -1,
            "normEval": False,
            "train": {},
        },
    ),
    "residual branches that do not begin at zero": changed(
        "spec.base", {"model": "faster-rcnn-r18-fpn", "zeroInitResidual": False, "train": {}}
    ),
    "triples of a family not named": changed(
        "spec.base",
        {
            "architecture": "[(8, 8, 32)], [(8, 8, 32)], [(8, 8, 32)], [(0008, 8, 32)]",
            "train": {},
        },
    ),
    "one width and a stem as wide": changed(
        "spec.teachers",
        {"widths": ["1.5"], "supernet": {"stem": 256}, "phases": _PHASES[:1]},
    ),
    "an external teacher alone": changed(
        "spec.teachers",
        {"choice": "External", "external": {"config": "htc.json", "weights": "s3://m/htc.pth"}},
    ),
    "baselines": changed("spec.baselines", ["ContinuedBase", "OneShotPruned", "Scaled"]),
    "a search of the pool": changed(
        "spec.search", {"strategy": "TeacherPool", "trials": 10_000, "parallelism": 8}
    ),
    "a warm start from a folder": changed(
        "spec.warmStart", {"from": "s3://detnas/team-a/searches/r50-0123abcd"}
    ),
}
