{{/* All that the operator may do: in each watched namespace, or everywhere with clusterWide. */}}
{{- define "detnas.rules" -}}
- apiGroups: [detnas.dev]
  resources: [detnassearches]
  verbs: [get, list, watch, patch]
- apiGroups: [detnas.dev]
  resources: [detnassearches/status]
  verbs: [get, patch]
# Owner references that block the owner's deletion ask for this.
- apiGroups: [detnas.dev]
  resources: [detnassearches/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
# Why a job's pod does not start, and the last lines of one that died.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# The ranks of a pool's training find each other by a headless Service.
- apiGroups: [""]
  resources: [services]
  verbs: [get, create]
# What happened to a search; why the Job controller could not make a pod (quota, policy).
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- end -}}
