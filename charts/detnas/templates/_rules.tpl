{{/* What the operator may do wherever it watches: read, and tell a search what becomes of it. */}}
{{- define "detnas.watchRules" -}}
# The finalizer of a search whose data is deleted with it is the one thing that is patched.
- apiGroups: [detnas.dev]
  resources: [detnassearches]
  verbs: [get, list, watch, patch]
- apiGroups: [detnas.dev]
  resources: [detnassearches/status]
  verbs: [get, patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch]
# Why a job's pod does not start.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list]
# What happened to a search; why the Job controller could not make a pod (quota, policy).
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- end -}}

{{/* What it may do besides where searches run. */}}
{{- define "detnas.workRules" -}}
# Owner references that block the owner's deletion ask for this.
- apiGroups: [detnas.dev]
  resources: [detnassearches/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create, patch, delete]
# Pods whose trainer has failed, and which a container that a webhook added keeps on their GPUs.
- apiGroups: [""]
  resources: [pods]
  verbs: [delete]
# The last lines of a job's pod that died.
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# The ranks of a pool's training find each other by a headless Service.
- apiGroups: [""]
  resources: [services]
  verbs: [get, create]
# Why Kueue has not admitted a job; without Kueue there are no such objects.
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list]
{{- end -}}
