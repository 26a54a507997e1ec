{{- define "sigma.labels" -}}
app.kubernetes.io/name: sigma-x
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: sigma-x
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

{{- /* The `restricted` standard, for a pod and for a container. */}}
{{- define "sigma.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "sigma.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "sigma.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- /* The namespaces with strategies, as JSON. */}}
{{- define "sigma.desks" -}}
{{ append .Values.desks .Release.Namespace | uniq | toJson }}
{{- end }}

{{- /* Addresses by who uses them, as JSON; an empty one is not to be had. */}}
{{- define "sigma.addresses" -}}
{{- $redis := .Values.externalRedis -}}
{{- if .Values.redis.enabled -}}
{{- $passwords := include "redis.passwords" (dict "Values" .Values.redis "Release" .Release) | fromJson -}}
{{- $host := printf "%s-redis.%s.svc:6379/0" .Release.Name .Release.Namespace -}}
{{- $redis = dict "bot" (printf "redis://bot:%s@%s" $passwords.bot $host) "feed" (printf "redis://feed:%s@%s" $passwords.feed $host) -}}
{{- end -}}
{{- $postgres := .Values.externalPostgres -}}
{{- if .Values.postgres.enabled -}}
{{- $passwords := include "postgres.passwords" (dict "Values" .Values.postgres "Release" .Release) | fromJson -}}
{{- $postgres = dict -}}
{{- range $role := list "owner" "granter" "control" "backtest" -}}
{{- $_ := set $postgres $role (printf "postgresql://sigma_%s:%s@%s-postgres.%s.svc:5432/sigma" $role (get $passwords $role) $.Release.Name $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{ dict "redis" $redis "postgres" $postgres | toJson }}
{{- end }}

{{- /* What the operator needs to know of backtests: the fields of BacktestSettings. */}}
{{- define "sigma.backtest.settings" -}}
{{- $b := .Values.backtest -}}
{{- dict
  "image" (include "sigma.image" (dict "image" $b.image "root" .))
  "pull_policy" $b.image.pullPolicy
  "pull_secrets" (include "sigma.pullSecretNames" . | fromJsonArray)
  "priority_class" .Values.priorityClasses.backtest.name
  "resources" $b.resources
  "scratch" $b.scratch
  "deadline" (int $b.deadline)
  "retries" (int $b.retries)
  "keep" (int $b.keep)
  "data_claim" $b.dataClaim
  "results" (ternary (printf "%s-results" .Release.Name) "" (or .Values.postgres.enabled (ne .Values.externalPostgres.backtest "")))
  | toJson -}}
{{- end }}

{{- /* What the operator needs to know of bots: the fields of BotSettings. */}}
{{- define "sigma.bot.settings" -}}
{{- $b := .Values.bot -}}
{{- dict
  "image" (include "sigma.image" (dict "image" .Values.image "root" .))
  "live_image" (include "sigma.image" (dict "image" .Values.liveImage "root" .))
  "pull_policy" .Values.image.pullPolicy
  "pull_secrets" (include "sigma.pullSecretNames" . | fromJsonArray)
  "priority_class" .Values.priorityClasses.sim.name
  "live_priority_class" .Values.priorityClasses.live.name
  "resources" $b.resources
  "live_resources" $b.liveResources
  "connections" (printf "%s-connections" .Release.Name)
  "granter" (include "sigma.granter" .)
  "reserved" (include "sigma.secrets" . | fromJsonArray)
  "venue_url" (include "sigma.venueUrl" .)
  "grace" (int $b.grace)
  "progress_deadline" (int $b.progressDeadline)
  "close_deadline" (int $b.closeDeadline)
  "network_policy" .Values.networkPolicy.enabled
  "egress" (include "sigma.egress.bot" . | fromYamlArray)
  "ingress" (include "sigma.watchers" . | fromYamlArray)
  | toJson -}}
{{- end }}

{{- define "sigma.pullSecretNames" -}}
{{- $names := list -}}
{{- range .Values.imagePullSecrets }}{{ $names = append $names .name }}{{ end -}}
{{ $names | toJson }}
{{- end }}

{{- /* The Secret of who makes the logins of accounts; empty where all bots share one. */}}
{{- define "sigma.granter" -}}
{{- if or .Values.postgres.enabled .Values.externalPostgres.granter }}{{ .Release.Name }}-granter{{ end -}}
{{- end }}

{{- /* This release's own Secrets, which no Strategy may name as its keys. */}}
{{- define "sigma.secrets" -}}
{{- $names := list -}}
{{- range list "connections" "granter" "control" "results" "owner" "feed" "postgres" "redis" "redis-users" -}}
{{- $names = append $names (printf "%s-%s" $.Release.Name .) -}}
{{- end -}}
{{ $names | toJson }}
{{- end }}

{{- /* Where venues are to be found: empty for the venues themselves. */}}
{{- define "sigma.venueUrl" -}}
{{- if .Values.bot.venueUrl }}{{ .Values.bot.venueUrl }}{{ else if .Values.emulator.enabled }}{{ printf "http://%s-emulator.%s.svc:9000" .Release.Name .Release.Namespace }}{{ end -}}
{{- end }}

{{- /* Egress rules. */}}
{{- define "sigma.egress.dns" -}}
- to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- end }}

{{- define "sigma.egress.redis" -}}
{{- if .Values.redis.enabled -}}
- to: [{{ include "sigma.store" (dict "name" "redis" "root" .) }}]
  ports: [{protocol: TCP, port: 6379}]
{{- else -}}
- ports: [{protocol: TCP, port: {{ regexFind ":[0-9]+(/|$)" .Values.externalRedis.bot | trimAll ":/" | default "6379" }}}]
{{- end }}
{{- end }}

{{- define "sigma.egress.postgres" -}}
{{- if .Values.postgres.enabled -}}
- to: [{{ include "sigma.store" (dict "name" "postgres" "root" .) }}]
  ports: [{protocol: TCP, port: 5432}]
{{- else -}}
- ports: [{protocol: TCP, port: {{ regexFind ":[0-9]+(/|$)" (.Values.externalPostgres.granter | default .Values.externalPostgres.bot) | trimAll ":/" | default "5432" }}}]
{{- end }}
{{- end }}

{{- define "sigma.egress.venues" -}}
{{- $url := .Values.bot.venueUrl -}}
- to: {{ .Values.networkPolicy.venues | toJson }}
  ports: [{protocol: TCP, port: 443}]
{{- if $url }}
- to: {{ append .Values.networkPolicy.venues (dict "namespaceSelector" dict) | toJson }}
  ports: [{protocol: TCP, port: {{ regexFind ":[0-9]+(/|$)" $url | trimAll ":/" | default (ternary "443" "80" (hasPrefix "https:" $url)) }}}]
{{- else if .Values.emulator.enabled }}
- to: [{{ include "sigma.store" (dict "name" "emulator" "root" .) }}]
  ports: [{protocol: TCP, port: 9000}]
{{- end }}
{{- end }}

{{- /* All that a bot reaches. */}}
{{- define "sigma.egress.bot" -}}
{{ include "sigma.egress.dns" . }}
{{ include "sigma.egress.redis" . }}
{{ include "sigma.egress.postgres" . }}
{{ include "sigma.egress.venues" . }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Who reads a bot's health and metrics, as peers. */}}
{{- define "sigma.watchers" -}}
- {{ include "sigma.store" (dict "name" "operator" "root" .) }}
{{- with .Values.networkPolicy.metricsFrom }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Pods of desks that bear a label, as peers: of the namespaces that `desks` lists, and of those made later that
       say of themselves that they are one. */}}
{{- define "sigma.traders" -}}
{{- $pods := dict "matchExpressions" (list (dict "key" .label "operator" "Exists")) -}}
{{- $listed := dict "key" "kubernetes.io/metadata.name" "operator" "In" "values" (include "sigma.desks" .root | fromJsonArray) -}}
- {namespaceSelector: {matchExpressions: [{{ $listed | toJson }}]}, podSelector: {{ $pods | toJson }}}
- {namespaceSelector: {matchLabels: {sigma-x.io/desk: "true"}}, podSelector: {{ $pods | toJson }}}
{{- end }}

{{- define "sigma.store" -}}
{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ .root.Release.Namespace }}}}, podSelector: {matchLabels: {app.kubernetes.io/instance: {{ .root.Release.Name }}, app.kubernetes.io/component: {{ .name }}}}}
{{- end }}

{{- /* Rights on what lives in a namespace, for a Role or a ClusterRole. */}}
{{- define "sigma.rules" -}}
- apiGroups: [sigma-x.io]
  resources: [backtests]
  verbs: [get, list, watch]
# Finalizers of a Strategy are set and taken away by a patch.
- apiGroups: [sigma-x.io]
  resources: [strategies]
  verbs: [get, list, watch, patch]
- apiGroups: [sigma-x.io]
  resources: [backtests/status, strategies/status]
  verbs: [patch]
# Owner references that block deletion need the right to set the owner's finalizers on some clusters.
- apiGroups: [sigma-x.io]
  resources: [backtests/finalizers, strategies/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- end }}
