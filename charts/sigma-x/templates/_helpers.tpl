{{- define "sigma.labels" -}}
app.kubernetes.io/name: sigma-x
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "sigma.operator.selector" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "sigma.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- /* What the operator needs to know of backtests: the fields of BacktestSettings. */}}
{{- define "sigma.backtest.settings" -}}
{{- $b := .Values.backtest -}}
{{- $secrets := list -}}
{{- range .Values.imagePullSecrets }}{{ $secrets = append $secrets .name }}{{ end -}}
{{- dict
  "image" (include "sigma.image" (dict "image" $b.image "root" .))
  "pull_policy" $b.image.pullPolicy
  "pull_secrets" $secrets
  "priority_class" .Values.priorityClass.name
  "resources" $b.resources
  "scratch" $b.scratch
  "deadline" (int $b.deadline)
  "retries" (int $b.retries)
  "keep" (int $b.keep)
  "data_claim" $b.dataClaim
  | toJson -}}
{{- end }}

{{- /* Rights on what lives in a namespace, for a Role or a ClusterRole. */}}
{{- define "sigma.rules" -}}
- apiGroups: [sigma-x.io]
  resources: [backtests]
  verbs: [get, list, watch]
- apiGroups: [sigma-x.io]
  resources: [backtests/status]
  verbs: [patch]
# Owner references that block deletion need the right to set the owner's finalizers on some clusters.
- apiGroups: [sigma-x.io]
  resources: [backtests/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}
