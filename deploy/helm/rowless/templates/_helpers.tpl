{{- define "rowless.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "rowless.selector" -}}
app.kubernetes.io/name: rowless
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rowless.labels" -}}
{{ include "rowless.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "rowless.claim" -}}
{{- .Values.home.existingClaim | default (printf "%s-home" (include "rowless.name" .)) -}}
{{- end -}}
