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
{{- with .Values.podSecurityContext }}
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
{{- end -}}

{{- define "detnas.container" -}}
image: {{ include "detnas.image" (list . .Values.image) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [detnas-operator]
env:
  - name: HOME
    value: /tmp
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
{{- end -}}
