{{- define "redis.name" -}}
{{ .Release.Name }}-redis
{{- end }}

{{- define "redis.selector" -}}
app.kubernetes.io/name: redis
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: redis
{{- end }}

{{- define "redis.labels" -}}
{{ include "redis.selector" . }}
app.kubernetes.io/part-of: sigma-x
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* The passwords by role as JSON: the user's, those of the last installation, or new ones. A new one is kept in the
       values, so that every template of one rendering, a parent chart's too, sees the same. Takes a dict of this
       chart's Values and the Release. */}}
{{- define "redis.passwords" -}}
{{- if not (hasKey .Values "passwords") -}}
{{- $name := .Values.auth.existingSecret | default (printf "%s-redis" .Release.Name) -}}
{{- $found := (lookup "v1" "Secret" .Release.Namespace $name).data | default dict -}}
{{- $made := dict -}}
{{- range list "bot" "feed" "operator" -}}
{{- $_ := set $made . (get $found . | default (randAlphaNum 32 | b64enc) | b64dec) -}}
{{- end -}}
{{- $_ := set .Values "passwords" $made -}}
{{- end -}}
{{ .Values.passwords | toJson }}
{{- end }}

{{- /* Roles by what they may do. Nobody evicts, configures or reads what is not ours; without a password there is only
       PING, for probes. Backtests have no user. */}}
{{- define "redis.users" -}}
{{- $passwords := include "redis.passwords" . | fromJson -}}
{{- $work := "resetchannels &sigma.* -@all +@read +@write +@connection +@pubsub +@transaction +eval +evalsha +script|load +script|exists +time +info -@dangerous +info" -}}
user default on nopass resetkeys resetchannels -@all +ping
user bot on #{{ sha256sum $passwords.bot }} resetkeys %R~sigma.ticks.* %R~sigma.history.* ~sigma.want:* ~sigma.limit.* ~sigma.bot.* {{ $work }}
user feed on #{{ sha256sum $passwords.feed }} resetkeys ~sigma.ticks.* ~sigma.history.* ~sigma.want:* ~sigma.limit.* {{ $work }}
user operator on #{{ sha256sum $passwords.operator }} resetkeys ~sigma.* {{ $work }}
{{- end }}
