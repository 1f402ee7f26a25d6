"""What the API server's refusal of a Job, or of its pods, means for a search."""

from detnas.reasons import ReasonCode
from detnas_operator.job_state import pods
from detnas_operator.job_state.quota import Exceeded, quota_advice, quota_refusal
from detnas_operator.job_state.states import Waiting


def refusal(what: str, words: str) -> Waiting:
    """Say why something could not be created.

    Args:
        what: the object, such as ``Job r18-t0007``.
        words: the API server's, from its answer or from the Job's FailedCreate event.
    """
    said = pods.one_line(words)
    quota = quota_refusal(words)
    if isinstance(quota, Exceeded):
        message = f"{what} exceeds a quota: {said}; {quota_advice(quota)}"
        return Waiting(ReasonCode.QUOTA_EXCEEDED, message)
    if quota is not None:
        message = f"{what} is refused: {said}; {quota_advice(quota)}"
        return Waiting(ReasonCode.PODS_REFUSED, message)
    if "serviceaccount" in words.lower() and "not found" in words:
        advice = "the chart's value `namespaces` makes it"
        message = f"{what} lacks its service account: {said}; {advice}"
        return Waiting(ReasonCode.CREDENTIALS_MISSING, message)
    return Waiting(ReasonCode.PODS_REFUSED, f"{what} is refused: {said}")
