{{/* What the operator's pod and the pod of `helm test` have in common. */}}
{{- define "detnas.podSpec" -}}
serviceAccountName: {{ include "detnas.serviceAccountName" . }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- $identity := .Values.podSecurityContext }}
{{- if .Values.openshift }}
{{- $identity = omit $identity "runAsUser" "runAsGroup" "fsGroup" }}
{{- end }}
{{- with $identity }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: config
    configMap:
      name: {{ include "detnas.fullname" . }}
  # The root file system is read-only.
  - name: tmp
    emptyDir: {sizeLimit: 1Gi}
  {{- with .Values.storage.caBundle }}
  {{- if .secret }}
  - name: ca
    secret: {secretName: {{ .secret }}, items: [{key: {{ .key }}, path: ca.crt}]}
  {{- else if .configMap }}
  - name: ca
    configMap: {name: {{ .configMap }}, items: [{key: {{ .key }}, path: ca.crt}]}
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "detnas.container" -}}
image: {{ include "detnas.image" (list . .Values.image) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [detnas-operator]
env:
  - name: HOME
    value: /tmp
  {{- range $name, $value := include "detnas.proxy" (list . "$(KUBERNETES_SERVICE_HOST)") | fromYaml }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
  {{- if or .Values.storage.caBundle.configMap .Values.storage.caBundle.secret }}
  {{- /* boto3 reads the first, obstore the second. */}}
  - name: AWS_CA_BUNDLE
    value: /etc/detnas-ca/ca.crt
  - name: SSL_CERT_FILE
    value: /etc/detnas-ca/ca.crt
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with include "detnas.operatorSecret" . }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- with .Values.securityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: config
    mountPath: /etc/detnas
    readOnly: true
  - name: tmp
    mountPath: /tmp
  {{- if or .Values.storage.caBundle.configMap .Values.storage.caBundle.secret }}
  - name: ca
    mountPath: /etc/detnas-ca
    readOnly: true
  {{- end }}
{{- end -}}
