"""One job on several GPUs, or several machines: torch's elastic launcher with this trainer's ends.

It starts a process for each GPU of this machine (`rank_process`), which meets those of the other
machines and runs the job as one rank of all. Machines find each other at the one of index 0, which
the Indexed Job of a pool provides. Whatever ends one rank ends them all:

- SIGTERM at one machine is forwarded to its ranks, who stop all ranks after the same step, with a
  checkpoint and 75;
- a rank that ends otherwise has those of its machine ended by torch's agent; those of other
  machines lose their connection to it, or wait in vain for `DETNAS_PEER_SECONDS`, and end with 75.

Nothing is restarted here: the job's scheduler starts all machines again, and they resume.
"""
