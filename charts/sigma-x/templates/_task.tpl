{{- /* The pod and the container of a short task of this chart. It ends by itself: no probe could say more. */}}
{{- define "sigma.task" -}}
restartPolicy: Never
enableServiceLinks: false
terminationGracePeriodSeconds: 10
{{- include "sigma.pullSecrets" . }}
securityContext: {{- include "sigma.podSecurity" . | nindent 2 }}
volumes:
- {name: scratch, emptyDir: {sizeLimit: 16Mi}}
{{- end }}

{{- define "sigma.task.container" -}}
image: {{ include "sigma.image" (dict "image" .Values.image "root" .) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
resources: {requests: {cpu: 20m, memory: 96Mi}, limits: {memory: 192Mi}}
securityContext: {{- include "sigma.containerSecurity" . | nindent 2 }}
volumeMounts:
- {name: scratch, mountPath: /tmp}
{{- end }}
