"""One job on several nodes: a launcher on each, which starts its processes with torch's agent.

Training itself is not distributed yet. Today rank 0 does the entire job; every other rank takes
part in the rendezvous and a barrier, waits until rank 0 ends, and ends with the same exit code.
What is here is what surrounds a distributed training: meeting, the heartbeat, ends that agree.

- The node of index 0 holds a store of keys (`peers`), where the nodes meet, beat, and say when
  all shall stop and how rank 0 ended. Who waits in vain for the others exits with 75.
- A node that stops beating is lost: rank 0 is told to write its checkpoint, and all exit with 75.
  So does everyone if the node of index 0 is lost, for it takes the store along.
- SIGTERM at one node is passed on to rank 0, wherever it runs.
"""
