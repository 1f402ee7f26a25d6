{{/* The operator's configuration file. */}}
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
    {{- with .supplementalGroups }}
    supplementalGroups: {{ toJson . }}
    {{- end }}
    {{- with .policy }}
    policy: {{ toJson . }}
    {{- end }}
    {{- with .dataCache }}
    dataCache: {{ toJson . }}
    {{- end }}
  {{- end }}
  {{- if $values.otherNamespaces.allowed }}
  - namespace: "*"
    serviceAccount: {{ $values.otherNamespaces.serviceAccount | quote }}
    credentialsSecret: {{ $values.otherNamespaces.credentialsSecret | quote }}
    {{- with $values.otherNamespaces.policy }}
    policy: {{ toJson . }}
    {{- end }}
  {{- else if not $values.namespaces }} []
  {{- end }}
storage:
  endpoint: {{ $values.storage.endpoint | quote }}
  region: {{ $values.storage.region | quote }}
  allowed: {{ $values.storage.allowed | toJson }}
  default: {{ default (first $values.storage.allowed) $values.storage.default | quote }}
  sharedPools: {{ $values.storage.sharedPools }}
  caBundle: {{ toJson $values.storage.caBundle }}
jobs:
  ttlSeconds: {{ $values.jobs.ttlSeconds | int64 }}
  gpuResource: {{ $values.jobs.gpuResource | quote }}
  multiNode: {{ $values.jobs.multiNode | quote }}
  env: {{ merge (dict) $values.jobs.env (include "detnas.proxy" (list . "") | fromYaml) | toJson }}
  {{- $identity := $values.jobs.podSecurityContext }}
  podSecurityContext:
    {{- range $name := list "runAsUser" "runAsGroup" "fsGroup" }}
    {{ $name }}: {{ if or $values.openshift (not (get $identity $name)) }}null{{ else }}{{ get $identity $name | int64 }}{{ end }}
    {{- end }}
    supplementalGroups: {{ default list $identity.supplementalGroups | toJson }}
  policy: {{ toJson $values.jobs.policy }}
  dataCache: {{ toJson $values.jobs.dataCache }}
workers: {{ $values.workers | int64 }}
resyncSeconds: {{ $values.resyncSeconds | int64 }}
progressSeconds: {{ $values.progressSeconds | int64 }}
health: {port: {{ $values.health.port | int64 }}}
metrics: {port: {{ $values.metrics.port | int64 }}}
logLevel: {{ $values.logLevel }}
{{- end -}}

{{/* Variables of the proxy, name to value: (list $ "host that always bypasses it"). */}}
{{- define "detnas.proxy" -}}
{{- $direct := index . 1 -}}
{{- with (index . 0).Values.proxy -}}
{{- with .http }}
HTTP_PROXY: {{ . | quote }}
{{- end }}
{{- with .https }}
HTTPS_PROXY: {{ . | quote }}
{{- end }}
{{- $hosts := compact (list .noProxy $direct) }}
{{- if and $hosts (or .http .https) }}
NO_PROXY: {{ join "," $hosts | quote }}
{{- end }}
{{- end -}}
{{- end -}}
