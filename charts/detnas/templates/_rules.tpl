{{/* What the operator may do wherever it watches: read, and write the status of searches. */}}
{{- define "detnas.watchRules" -}}
# Only the finalizer of a search whose data is deleted with it is patched.
- apiGroups: [detnas.dev]
  resources: [detnassearches]
  verbs: [get, list, watch, patch]
- apiGroups: [detnas.dev]
  resources: [detnassearches/status]
  verbs: [get, patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch]
# Jobs on several nodes; without JobSet there are no such objects. `jobs.multiNode` may change while
# one runs: it is watched to its end.
- apiGroups: [jobset.x-k8s.io]
  resources: [jobsets]
  verbs: [get, list, watch]
# Why a job's pod does not start.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list]
# What happened to a search; why the Job controller could not create a pod (quota, policy).
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- end -}}

{{/* What it may do in addition where searches run. */}}
{{- define "detnas.workRules" -}}
# Owner references that block the owner's deletion require this.
- apiGroups: [detnas.dev]
  resources: [detnassearches/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create, patch, delete]
- apiGroups: [jobset.x-k8s.io]
  resources: [jobsets]
  verbs: [create, patch, delete]
# Pods whose trainer has failed, and that a container added by a webhook keeps running.
- apiGroups: [""]
  resources: [pods]
  verbs: [delete]
# The end of the log of a failed pod.
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# Without JobSet the ranks of a pool's training find each other by a headless Service.
- apiGroups: [""]
  resources: [services]
  verbs: [get, create]
# Why Kueue has not admitted a job; without Kueue there are no such objects.
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list]
{{- end -}}
