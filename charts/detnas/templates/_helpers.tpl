{{/* The chart's name in labels. */}}
{{- define "detnas.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The prefix of every object's name; short enough for the longest suffix. */}}
{{- define "detnas.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The same for cluster-scoped objects: two releases of one name in two namespaces differ. */}}
{{- define "detnas.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "detnas.fullname" .) -}}
{{- end -}}

{{- define "detnas.selectorLabels" -}}
app.kubernetes.io/name: {{ include "detnas.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "detnas.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "detnas.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: detnas
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The operator's own pods, as opposed to the pod of `helm test`. */}}
{{- define "detnas.operatorLabels" -}}
{{ include "detnas.selectorLabels" . }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* An image reference: (list $ .Values.image). A digest decides; a tag may move. */}}
{{- define "detnas.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "detnas.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "detnas.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The secret with the operator's S3 keys; empty with workload identity. */}}
{{- define "detnas.operatorSecret" -}}
{{- with .Values.storage.credentials -}}
{{- if .existingSecret -}}
{{- .existingSecret -}}
{{- else if .accessKeyId -}}
{{- include "detnas.fullname" $ }}-operator-s3
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The service account of a namespace's jobs: (list $ entry). */}}
{{- define "detnas.trainerServiceAccount" -}}
{{- $account := default dict (index . 1).serviceAccount -}}
{{- default (printf "%s-trainer" (include "detnas.fullname" (index . 0))) $account.name -}}
{{- end -}}

{{/* The secret with the S3 keys of a namespace's jobs; empty with workload identity. */}}
{{- define "detnas.trainerSecret" -}}
{{- $s3 := default dict (index . 1).s3 -}}
{{- if $s3.existingSecret -}}
{{- $s3.existingSecret -}}
{{- else if $s3.accessKeyId -}}
{{- include "detnas.fullname" (index . 0) }}-trainer-s3
{{- end -}}
{{- end -}}

{{/* The namespaces that are watched, as a JSON list: ours first, each once. */}}
{{- define "detnas.watched" -}}
{{- $names := list .Release.Namespace -}}
{{- range .Values.namespaces -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- uniq $names | toJson -}}
{{- end -}}
