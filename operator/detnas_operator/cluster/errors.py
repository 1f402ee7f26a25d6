"""Errors of the Kubernetes API, each with what to do."""

# ruff: noqa: N818 (each names what was found, as the errors of the store do)

from detnas.errors import UserError


class ClusterError(UserError):
    """The Kubernetes API did not do what was requested.

    Attributes:
        status: the HTTP status, 0 where there was no answer.
        reason: the server's machine-readable reason (``AlreadyExists``, ``Forbidden``, …).
        retry_after: seconds the server asks to wait; None if it does not.
        fields: of the sent object that the server rejects.
    """

    def __init__(
        self,
        problem: str,
        remedy: str = "",
        *,
        status: int = 0,
        reason: str = "",
        retry_after: float | None = None,
        fields: tuple[str, ...] = (),
    ) -> None:
        super().__init__(problem, remedy)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.fields = fields


class NotFound(ClusterError):
    """The object, or its namespace or kind, does not exist (404)."""


class Conflict(ClusterError):
    """The object was changed or replaced since it was read (409 on anything but a create)."""


class AlreadyExists(ClusterError):
    """An object of this name is there already (409 on a create)."""


class Terminating(ClusterError):
    """The namespace is being deleted, so that nothing can be created in it any more (403)."""


class Refused(ClusterError):
    """The server will not do this, now or as requested (400, 401, 403, 405, 413, 422).

    Missing permissions, exhausted quota, an admission webhook's veto, an invalid object:
    ``problem`` has the server's message.
    """


class Expired(ClusterError):
    """The server no longer knows what happened since a version: list again (410)."""


class TooLarge(ClusterError):
    """The answer is larger than the reader's limit."""


class TooManyRequests(ClusterError):
    """The server asks to wait for ``retry_after`` seconds (429)."""


class Unavailable(ClusterError):
    """No answer, or a failure of the server (5xx): what was requested may or may not be done."""
