"""The reconcile pass over one search: observe, decide, apply, publish."""
