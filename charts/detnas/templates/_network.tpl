{{/* One egress rule: (list {to, ports} protocols default-port). No `to` is anywhere. */}}
{{- define "detnas.egress" -}}
{{- $rule := index . 0 -}}
{{- $protocols := index . 1 -}}
{{- $ports := default (list (index . 2)) $rule.ports -}}
- ports:
    {{- range $port := $ports }}
    {{- range $protocols }}
    - {protocol: {{ . }}, port: {{ $port | int64 }}}
    {{- end }}
    {{- end }}
  {{- with $rule.to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "detnas.egressDns" -}}
{{- include "detnas.egress" (list .Values.networkPolicy.dns (list "UDP" "TCP") 53) -}}
{{- end -}}

{{- define "detnas.egressS3" -}}
{{- include "detnas.egress" (list .Values.networkPolicy.s3 (list "TCP") (include "detnas.port" .Values.storage.endpoint)) -}}
{{- end -}}

{{/* Rules for the proxies of both kinds of addresses; none without proxies. */}}
{{- define "detnas.egressProxy" -}}
{{- $ports := list -}}
{{- range compact (list .Values.proxy.http .Values.proxy.https) -}}
{{- $ports = append $ports (include "detnas.port" .) -}}
{{- end -}}
{{- if $ports -}}
{{- $rule := .Values.networkPolicy.proxy -}}
{{- include "detnas.egress" (list (dict "to" $rule.to "ports" (default (uniq $ports) $rule.ports)) (list "TCP") "") -}}
{{- end -}}
{{- end -}}

{{/* The port of a URL, or its scheme's own. */}}
{{- define "detnas.port" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (ternary "80" "443" (eq $url.scheme "http")) $port -}}
{{- end -}}
