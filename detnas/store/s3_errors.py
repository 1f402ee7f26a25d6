"""The only module that interprets boto3's errors: each becomes a ``StoreError`` with a remedy."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)

from detnas.store.errors import (
    CreateOnlyNotHonoured,
    NotFound,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnreachable,
    UntrustedServer,
    WrongCredentials,
    WrongRegion,
)

_ABSENT = {"NoSuchKey", "NotFound", "404"}
_WRONG_KEYS = {
    "InvalidAccessKeyId": "AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY",
    "InvalidToken": "AWS_SESSION_TOKEN",
    "ExpiredToken": "AWS_SESSION_TOKEN",
}
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"}
_FULL = {"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"}


class PreconditionFailed(StoreError):
    """A conditional write was refused; the store's own verbs find out what that means."""


class ConcurrentWrite(StoreUnavailable):
    """A write met another one under way (HTTP 409), and may be sent again."""


@contextmanager
def s3_errors(uri: str) -> Iterator[None]:
    """Raise every boto3 error of the block, about the object ``uri``, as a ``StoreError``."""
    try:
        yield
    except ClientError as error:
        raise from_client_error(error, uri) from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        raise WrongCredentials(f"no credentials for {uri} ({error})", remedy) from error
    except (BotoCoreError, Boto3Error) as error:
        if isinstance(error, SSLError) and _lacks_trust(error):
            remedy = "let AWS_CA_BUNDLE name a file with the certificates of its signer"
            problem = f"{uri}: the server's certificate is not trusted ({error})"
            raise UntrustedServer(problem, remedy) from error
        remedy = "check the network and AWS_ENDPOINT_URL, then start again: what is stored stays"
        raise StoreUnreachable(f"{uri} cannot be reached ({error})", remedy) from error


def _lacks_trust(error: BaseException | None) -> bool:
    """Whether a certificate was refused, or those to compare it with could not be read."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError | FileNotFoundError):
            return True
        error = error.__cause__ or error.__context__
    return False


def from_client_error(error: ClientError, uri: str) -> StoreError:
    """Return the ``StoreError`` for an answer of the server that is not a success."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _ABSENT:
        return NotFound(f"{uri} does not exist")
    if status == 412 or code == "PreconditionFailed":
        return PreconditionFailed(f"{uri} is not as expected")
    if status == 409:
        return ConcurrentWrite(f"{uri} is being written by another process", "try again")
    if status == 501 or code == "NotImplemented":
        remedy = "use a server that honours If-None-Match and If-Match on PUT, or a folder"
        return CreateOnlyNotHonoured(f"the server of {uri} has no conditional writes", remedy)
    if status == 507 or code in _FULL:
        return StoreFull(f"no space left for {uri} ({code})", "free space there and start again")
    return _refusal(code, status, uri) or StoreUnavailable(
        f"{uri}: the server failed ({code or status})", "see the server's log, then start again"
    )


def _refusal(code: str, status: int, uri: str) -> StoreRefused | None:
    if code == "NoSuchBucket":
        return StoreRefused(f"{uri}: the bucket does not exist", "create it, or correct the URI")
    if code in _WRONG_KEYS:
        variable = _WRONG_KEYS[code]
        problem = f"{uri}: the server refuses {variable} ({code})"
        return WrongCredentials(problem, f"correct {variable}")
    if code in _WRONG_REGION or status == 301:
        return WrongRegion(f"{uri}: the bucket is in another region", "set AWS_DEFAULT_REGION")
    if code == "RequestTimeTooSkewed":
        return StoreRefused(f"{uri}: this machine's clock is wrong", "set the clock")
    if status in (400, 401, 403):
        remedy = (
            "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may list, read, "
            "write and delete there"
        )
        return WrongCredentials(f"{uri}: access denied ({code or status})", remedy)
    return None
