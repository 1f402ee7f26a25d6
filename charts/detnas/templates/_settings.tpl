{{/* The operator's configuration, in the words of its own settings. */}}
{{- define "detnas.settings" -}}
{{- $values := .Values -}}
namespaces: {{ if $values.clusterWide }}[]{{ else }}{{ include "detnas.watched" . }}{{ end }}
trainer:
  image: {{ include "detnas.image" (list . $values.trainer.image) | quote }}
  imagePullPolicy: {{ $values.trainer.image.pullPolicy }}
  imagePullSecrets:
    {{- range $values.trainer.imagePullSecrets }}
    - {{ .name | quote }}
    {{- else }} []
    {{- end }}
tenants:
  {{- range $values.namespaces }}
  - namespace: {{ .name | quote }}
    serviceAccount: {{ include "detnas.trainerServiceAccount" (list $ .) | quote }}
    credentialsSecret: {{ include "detnas.trainerSecret" (list $ .) | quote }}
  {{- end }}
  {{- if $values.otherNamespaces.allowed }}
  - namespace: "*"
    serviceAccount: {{ $values.otherNamespaces.serviceAccount | quote }}
    credentialsSecret: {{ $values.otherNamespaces.credentialsSecret | quote }}
  {{- else if not $values.namespaces }} []
  {{- end }}
storage:
  endpoint: {{ $values.storage.endpoint | quote }}
  region: {{ $values.storage.region | quote }}
  allowed: {{ $values.storage.allowed | toJson }}
  default: {{ default (first $values.storage.allowed) $values.storage.default | quote }}
  sharedPools: {{ $values.storage.sharedPools }}
jobs:
  ttlSeconds: {{ $values.jobs.ttlSeconds | int64 }}
  gpuResource: {{ $values.jobs.gpuResource | quote }}
  env: {{ $values.jobs.env | toJson }}
workers: {{ $values.workers | int64 }}
resyncSeconds: {{ $values.resyncSeconds | int64 }}
progressSeconds: {{ $values.progressSeconds | int64 }}
health: {port: {{ $values.health.port | int64 }}}
metrics: {port: {{ $values.metrics.port | int64 }}}
logLevel: {{ $values.logLevel }}
{{- end -}}
