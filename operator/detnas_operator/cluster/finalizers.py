"""What an object that is being deleted waits for: its finalizers."""

from detnas_operator.cluster.objects import ObjectView

_FOREGROUND = "foregroundDeletion"


def foreign_finalizers(view: ObjectView) -> list[str]:
    """Return the finalizers for which a deleted object waits after its pods have stopped."""
    return [one for one in view.finalizers if one != _FOREGROUND]


def waits_for(view: ObjectView) -> str:
    """Return what an object that is being deleted waits for."""
    if foreign := foreign_finalizers(view):
        return (
            f"it waits for the finalizer {', '.join(foreign)}: the controller that set it removes "
            "it; if that controller is gone, remove it with kubectl edit"
        )
    if view.finalizers:
        return f"it waits until its pods have stopped ({_FOREGROUND})"
    return "waiting until it is gone"
