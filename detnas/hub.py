"""An exported folder on the Hugging Face Hub, by huggingface-hub."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import yaml

from detnas.errors import UserError

CARD = "README.md"
_RECORDS = ("request.json", "result.json", "failed-*.json")
"""Records of the job in an exported folder of a store; they name its addresses."""


def folder_files(folder: Path) -> dict[str, Path]:
    """The files of an exported folder that are uploaded, by name."""
    return {
        path.name: path
        for path in sorted(folder.iterdir())
        if path.is_file() and not any(map(path.match, (*_RECORDS, ".*")))
    }


def check_upload(repository: str, files: Mapping[str, Path]) -> None:
    """Check, without the network, what the Hub would refuse.

    Args:
        repository: ``owner/name``.
        files: by name.

    Raises:
        UserError: the name is no repository's, the model card is missing, or its front matter
            cannot be read.
    """
    hub = _hub()
    try:
        hub.utils.validate_repo_id(repository)
    except hub.errors.HFValidationError as error:
        raise _wrong_name(repository, str(error)) from error
    if repository.count("/") != 1:
        raise _wrong_name(repository, "the owner is missing")
    if CARD not in files:
        raise UserError(
            f"among the exported files there is no {CARD}, which is the model card",
            "export the detector again: detnas export SEARCH --to DIR",
        )
    try:
        card = hub.ModelCard(files[CARD].read_text(encoding="utf-8"))
    except (ValueError, OSError, yaml.YAMLError) as error:
        raise UserError(
            f"{files[CARD]}: the front matter cannot be read ({_gist(error)})",
            "correct what is between the first two lines of three hyphens",
        ) from error
    if not card.data.to_dict():
        raise UserError(
            f"{files[CARD]} has no front matter, which the Hub shows as licence and tags",
            "export the detector with this version of detnas, or write it: see "
            "https://huggingface.co/docs/hub/model-cards",
        )


def upload(repository: str, files: Mapping[str, Path], *, private: bool) -> str:
    """Upload the files in one commit; equal files give no further commit.

    Args:
        repository: ``owner/name``; it is created if it does not exist.
        files: by name.
        private: whether a repository that is created is visible to its owner only.

    Returns:
        The repository's address.

    Raises:
        UserError: the Hub cannot be reached, or refuses.
    """
    hub = _hub()
    api = hub.HfApi(library_name="detnas")
    try:
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.create_commit(
            repository,
            operations=[
                hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=path)
                for name, path in files.items()
            ],
            commit_message="Upload a detector exported by detnas",
        )
    except hub.errors.LocalTokenNotFoundError as error:
        raise UserError("the Hugging Face Hub needs a token", _LOG_IN) from error
    except hub.errors.HfHubHTTPError as error:
        raise UserError(f"the Hub refuses {repository}: {_gist(error)}", _remedy(error)) from error
    # A server that does not answer, or a file that went away.
    except (hub.errors.HTTPError, OSError) as error:
        raise UserError(
            f"{repository} cannot be uploaded: {_gist(error)}",
            "repeat the command: what has been uploaded is not uploaded again",
        ) from error
    return str(address)


_LOG_IN = "log in with 'hf auth login', or set HF_TOKEN to a token that may write"


def _hub() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise UserError(
            "push: huggingface_hub is not installed", "pip install 'detnas[hub]'"
        ) from error
    return huggingface_hub


def _wrong_name(repository: str, why: str) -> UserError:
    return UserError(
        f"{repository!r} is no name of a repository ({why.strip().splitlines()[0]})",
        "write owner/name, such as my-team/street-detector",
    )


def _remedy(error: Exception) -> str:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if status in {401, 403}:
        return f"{_LOG_IN} to this owner's repositories"
    return "repeat the command later: what has been uploaded is not uploaded again"


def _gist(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
