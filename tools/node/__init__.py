"""A one-node Kubernetes that runs real pods in a network namespace, for `dev.py e2e`.

The end-to-end run needs a kubelet, a container runtime and a Service network. kind and minikube
would bring all three, but not to where this project is developed and checked: their node is itself
a container or a virtual machine, made from an image that a registry has to serve, run with
privileges that a container (without CAP_SYS_RESOURCE, without systemd, with cgroups of version 1
beside those of version 2) cannot grant. Here the programs of Kubernetes are built from source
(`tools.kubernetes`), containerd and runc are Debian's, and all of it runs as plain processes with
the settings that such a container needs. No registry is asked: images are built by podman and
imported from archives.

Everything a node owns, its processes, mounts, cgroups, namespace and folder, goes with
`stop_node`. The network namespace has no route out, so several nodes may use the same addresses,
and nothing in a pod reaches the machine's network.
"""
