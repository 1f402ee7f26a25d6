"""One job on several nodes: a launcher on each, which starts its processes with torch's agent.

Training itself is not distributed yet. Today rank 0 does the entire job; every other rank takes
part in the rendezvous and a barrier, waits until rank 0 ends, and ends with the same exit code.
What is here is what surrounds a distributed training: meeting, the heartbeat, ends that agree.

- The node of index 0 holds a store of keys (`peers`), where the nodes meet, send heartbeats, and
  publish when all must stop and how rank 0 ended. A node that waits too long exits with 75.
- A node without a heartbeat is lost: rank 0 writes its checkpoint, and all exit with 75. So do all
  if the node of index 0 is lost, since it serves the keys.
- SIGTERM at one node is passed on to rank 0, wherever it runs.
"""
