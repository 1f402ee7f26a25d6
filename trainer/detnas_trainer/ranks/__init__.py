"""The processes that share one job: a rank each, on a GPU of its own, or on the CPU.

All ranks run the same job on the same subnet and resolution; each takes an equal share of every
batch, and what is computed is what one process computes on the entire batch:

- `group`: who this rank is, how ranks share out work, and what they exchange;
- `batch_norm`: batch norms over the entire batch;
- `batch`: padding, averages of losses, and the samplers' draws as in the entire batch.

With one process all of it does nothing.
"""
