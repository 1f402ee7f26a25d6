"""The external teacher: checked and stored by the prepare job, read by those that it teaches."""

from collections.abc import Sequence
from typing import Any

from detnas.errors import UserError
from detnas.records.artifacts import Artifact
from detnas.records.requests import TeacherFiles
from detnas.store.durable_files import sha256_of
from detnas_trainer.distillation import frozen_teacher
from detnas_trainer.foreign import ExternalTeacher, load_teacher_file, read_teacher
from detnas_trainer.foreign.teacher_configuration import FIELD
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.named_files import local_file
from detnas_trainer.jobs.verbs.training import device

_SETTINGS = "teacher"


def store_external_teacher(
    job: Job[Any], files: TeacherFiles, classes: Sequence[str]
) -> tuple[Artifact, tuple[str, ...]]:
    """Check the teacher and store it as one file of tensors and plain data.

    Later jobs read this copy: it is fetched once for each machine, and unpickled nowhere.

    Returns:
        The stored teacher, and the SHA-256 of its configuration and its checkpoint.

    Raises:
        UserError: it cannot be read, or cannot teach.
    """
    config = local_file(files.config, job.scratch, FIELD, "give the teacher's mmdet configuration")
    weights = local_file(
        files.weights,
        job.scratch,
        "teachers.external.weights",
        "give a .pth or .safetensors file",
    )
    with job.activity("teacher"):
        found = read_teacher(config, weights, classes)
    heads = found.settings["heads"]
    if files.class_aware and any(head.get("reg_class_agnostic", False) for head in heads):
        raise UserError(
            "teachers.external has one box for all classes, and distillation.localization "
            "ClassAware compares those of each class",
            "set distillation.localization to Plain, in finetune.distillation if the teacher "
            "teaches the fine-tuning alone",
        )
    for note in found.notes:
        log.info("teachers.external: %s", note)
    digests = sha256_of(config), sha256_of(weights)
    return job.publish(found.state, **{_SETTINGS: found.settings}), digests


def load_external_teacher(job: Job[Any], stored: Artifact) -> ExternalTeacher:
    """The teacher that the prepare job stored, on this process's device."""
    weights = job.fetch(stored)
    teacher = load_teacher_file(weights.metadata[_SETTINGS], weights.state)
    return frozen_teacher(teacher.to(device()))
