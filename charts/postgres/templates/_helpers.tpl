{{- define "postgres.name" -}}
{{ .Release.Name }}-postgres
{{- end }}

{{- define "postgres.selector" -}}
app.kubernetes.io/name: postgres
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: postgres
{{- end }}

{{- define "postgres.labels" -}}
{{ include "postgres.selector" . }}
app.kubernetes.io/part-of: sigma-x
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* The passwords by role as JSON: the user's, those of the last installation, or new ones. A new one is kept in the
       values, so that every template of one rendering, a parent chart's too, sees the same. Takes a dict of this
       chart's Values and the Release. */}}
{{- define "postgres.passwords" -}}
{{- if not (hasKey .Values "passwords") -}}
{{- $name := .Values.auth.existingSecret | default (printf "%s-postgres" .Release.Name) -}}
{{- $found := (lookup "v1" "Secret" .Release.Namespace $name).data | default dict -}}
{{- $made := dict -}}
{{- range list "owner" "granter" "control" "backtest" "reader" -}}
{{- $_ := set $made . (get $found . | default (randAlphaNum 32 | b64enc) | b64dec) -}}
{{- end -}}
{{- $_ := set .Values "passwords" $made -}}
{{- end -}}
{{ .Values.passwords | toJson }}
{{- end }}

{{- /* The numbers of the repositories that there are: 1 the volume, 2 the object store. */}}
{{- define "postgres.repositories" -}}
{{- $a := .Values.archive -}}
{{- if $a.enabled }}{{ if $a.volume.enabled }}1 {{ end }}{{ if $a.s3.enabled }}2{{ end }}{{ end -}}
{{- end }}

{{- define "postgres.claim" -}}
- metadata: {name: {{ .name }}}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .storage.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources: {requests: {storage: {{ .storage.size }}}}
{{- end }}

{{- define "postgres.volume" -}}
{{- if eq .storage.type "existingClaim" }}
- {name: {{ .name }}, persistentVolumeClaim: {claimName: {{ .storage.existingClaim }}}}
{{- else if eq .storage.type "emptyDir" }}
- {name: {{ .name }}, emptyDir: {sizeLimit: {{ .storage.size }}}}
{{- end }}
{{- end }}

{{- define "postgres.environment" -}}
{{- $s3 := .Values.archive.s3 -}}
- {name: PGBACKREST_CONFIG, value: /etc/sigma/pgbackrest.conf}
{{- if and .Values.archive.enabled $s3.enabled }}
- {name: PGBACKREST_REPO2_S3_KEY, valueFrom: {secretKeyRef: {name: {{ $s3.existingSecret }}, key: accessKey}}}
- {name: PGBACKREST_REPO2_S3_KEY_SECRET, valueFrom: {secretKeyRef: {name: {{ $s3.existingSecret }}, key: secretKey}}}
{{- if $s3.encrypt }}
- {name: PGBACKREST_REPO2_CIPHER_PASS, valueFrom: {secretKeyRef: {name: {{ $s3.existingSecret }}, key: passphrase}}}
{{- end }}
{{- end }}
{{- end }}

{{- define "postgres.mounts" -}}
- {name: data, mountPath: /data}
{{- if and .Values.archive.enabled .Values.archive.volume.enabled }}
- {name: backup, mountPath: /backup}
{{- end }}
- {name: socket, mountPath: /run/postgresql}
- {name: configuration, mountPath: /etc/sigma, readOnly: true}
{{- end }}

{{- define "postgres.confinement" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
