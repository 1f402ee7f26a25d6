{{/* What values.schema.json cannot say. Each message names the value and what to do. */}}
{{- define "detnas.validate" -}}
{{- include "detnas.validateImage" (list "image" "operator" .Values.image) -}}
{{- include "detnas.validateImage" (list "trainer.image" "trainer" .Values.trainer.image) -}}
{{- include "detnas.validateStorage" . -}}
{{- include "detnas.validateCredentials" (list "storage.credentials" .Values.storage.credentials) -}}
{{- $seen := dict -}}
{{- range .Values.namespaces -}}
{{- if hasKey $seen .name -}}
{{- fail (printf "namespaces: %s is listed twice; list each namespace once" .name) -}}
{{- end -}}
{{- $_ := set $seen .name true -}}
{{- include "detnas.validateCredentials" (list (printf "s3 of %s in namespaces" .name) .s3) -}}
{{- if and (eq .name $.Release.Namespace) (eq (include "detnas.trainerServiceAccount" (list $ .)) (include "detnas.serviceAccountName" $)) -}}
{{- fail (printf "serviceAccount.name of %s in namespaces: jobs must not run as the operator; name another" .name) -}}
{{- end -}}
{{- include "detnas.validateDataCache" (list (printf "namespaces[%s].dataCache" .name) .dataCache) -}}
{{- end -}}
{{- include "detnas.validateDataCache" (list "jobs.dataCache" .Values.jobs.dataCache) -}}
{{- if eq (int .Values.health.port) (int .Values.metrics.port) -}}
{{- fail (printf "health.port and metrics.port are both %d; change one" (int .Values.health.port)) -}}
{{- end -}}
{{- if and .Values.otherNamespaces.allowed (not .Values.clusterWide) -}}
{{- fail "otherNamespaces.allowed: the operator sees other namespaces only with clusterWide: true" -}}
{{- end -}}
{{- if eq .Values.otherNamespaces.serviceAccount (include "detnas.serviceAccountName" .) -}}
{{- fail "otherNamespaces.serviceAccount: jobs must not run as the operator; name another" -}}
{{- end -}}
{{- end -}}

{{- define "detnas.validateImage" -}}
{{- if not (index . 2).repository -}}
{{- fail (printf "%s.repository: name the repository that you pushed the %s's image to, such as registry.example.com/team/detnas-%s (dockerfiles/%s.Dockerfile builds it)" (index . 0) (index . 1) (index . 1) (index . 1)) -}}
{{- end -}}
{{- end -}}

{{- define "detnas.validateStorage" -}}
{{- if and .Values.storage.caBundle.configMap .Values.storage.caBundle.secret -}}
{{- fail "storage.caBundle: give either configMap or secret, not both" -}}
{{- end -}}
{{- if not .Values.storage.allowed -}}
{{- fail "storage.allowed: name at least one place for the searches' data, such as s3://bucket/prefix" -}}
{{- end -}}
{{- with .Values.storage.default -}}
{{- $inside := false -}}
{{- $wanted := printf "%s/" (trimSuffix "/" .) -}}
{{- range $.Values.storage.allowed -}}
{{- if hasPrefix (printf "%s/" (trimSuffix "/" .)) $wanted -}}
{{- $inside = true -}}
{{- end -}}
{{- end -}}
{{- if not $inside -}}
{{- fail (printf "storage.default: %s is under none of storage.allowed; add it there" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "detnas.validateDataCache" -}}
{{- with index . 1 -}}
{{- if and .claim .hostPath -}}
{{- fail (printf "%s: give either claim or hostPath, not both" (index $ 0)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "detnas.validateCredentials" -}}
{{- $where := index . 0 -}}
{{- $source := default dict (index . 1) -}}
{{- $named := 0 -}}
{{- if $source.existingSecret }}{{ $named = add1 $named }}{{ end -}}
{{- if or $source.accessKeyId $source.secretAccessKey }}{{ $named = add1 $named }}{{ end -}}
{{- if $source.workloadIdentity }}{{ $named = add1 $named }}{{ end -}}
{{- if ne (int $named) 1 -}}
{{- fail (printf "%s: name one source of S3 credentials: existingSecret, accessKeyId with secretAccessKey, or workloadIdentity: true" $where) -}}
{{- end -}}
{{- if ne (empty $source.accessKeyId) (empty $source.secretAccessKey) -}}
{{- fail (printf "%s: accessKeyId and secretAccessKey go together; give both" $where) -}}
{{- end -}}
{{- end -}}
