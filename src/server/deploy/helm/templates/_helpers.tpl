{{- define "sealgate.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "sealgate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: bff
{{- end -}}

{{- define "sealgate.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "sealgate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "sealgate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "sealgate.env" -}}
- { name: SEALGATE__SERVER__ADMIN_BIND, value: "0.0.0.0:9090" }   # for probes and Prometheus; not in the Service
- { name: SEALGATE__KEYS__DIR, value: /keys }
{{- end -}}

{{- define "sealgate.volumes" -}}
- name: config
  configMap: { name: {{ include "sealgate.name" . }} }
- name: secrets
  secret: { secretName: {{ .Values.secretsSecret }}, defaultMode: 0440 }
- name: keys
  secret: { secretName: {{ .Values.keysSecret }}, defaultMode: 0440 }
{{- end -}}
