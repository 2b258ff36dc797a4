{{/* The prefix of every name. */}}
{{- define "authserver.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes, so that a selector may use it. */}}
{{- define "authserver.selector" -}}
app.kubernetes.io/name: authserver
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "authserver.labels" -}}
{{ include "authserver.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The configuration file: what the chart needs, below what the operator wants. */}}
{{- define "authserver.config" -}}
{{- $server := dict "issuer" (required "issuer is required: the address by which clients know the server, such as https://auth.example.com" .Values.issuer) "address" "0.0.0.0:9000" -}}
{{- $config := dict "server" $server "admin" (dict "address" "0.0.0.0:9001") -}}
{{- if eq .Values.storage.driver "postgres" -}}
{{- $_ := set $config "state_dir" "/var/lib/authserver" -}}
{{- $_ := set $config "storage" (dict "driver" "postgres" "auto_migrate" false) -}}
{{- $_ := set $config "signing" (dict "key_store" "database") -}}
{{- else -}}
{{- /* A folder in the volume, which belongs to root; see docs/operate/deploy.md. */ -}}
{{- $_ := set $config "state_dir" "/var/lib/authserver/state" -}}
{{- $_ := set $config "storage" (dict "driver" "sqlite") -}}
{{- end -}}
{{- if .Values.masterKeySecret -}}
{{- $_ := set $config "data_encryption" (dict "driver" "aes_master") -}}
{{- end -}}
{{- $backup := dict -}}
{{- with .Values.backup.targets }}{{- $_ := set $backup "targets" . -}}{{- end -}}
{{- if eq .Values.storage.driver "postgres" -}}
{{- /* CronJobs make them; what was taken away goes beside them at once. */ -}}
{{- $_ := set $backup "schedule" "off" -}}
{{- if .Values.backup.targets }}{{- $_ := set $config "recovery" (dict "log" true) -}}{{- end -}}
{{- else if not .Values.backup.enabled -}}
{{- $_ := set $backup "schedule" "off" -}}
{{- end -}}
{{- if $backup }}{{- $_ := set $config "backup" $backup -}}{{- end -}}
{{- toYaml (mergeOverwrite $config .Values.config) -}}
{{- end -}}

{{/* Whether CronJobs make backups. */}}
{{- define "authserver.backs-up" -}}
{{- if and .Values.backup.enabled (eq .Values.storage.driver "postgres") }}true{{ end -}}
{{- end -}}

{{/* Refuses what would lose keys, or everything. */}}
{{- define "authserver.check" -}}
{{- $_ := required "existingSecret is required: the name of a Secret with AUTHSERVER_ADMIN_API_KEY and, on PostgreSQL, AUTHSERVER_STORAGE_POSTGRES_DSN; the chart makes none" .Values.existingSecret -}}
{{- if eq .Values.storage.driver "postgres" -}}
{{- $store := (include "authserver.config" . | fromYaml).signing.key_store -}}
{{- if eq $store "keyfile" -}}
{{- fail "config.signing.key_store: keyfile loses the signing keys with the pod; on PostgreSQL use database, vault_transit or env" -}}
{{- end -}}
{{- if and (has $store (list "database" "postgres_key")) (not .Values.masterKeySecret) -}}
{{- fail "masterKeySecret is required: the name of a Secret with AUTHSERVER_DATA_ENCRYPTION_KEY, which seals the signing keys in the database; the chart makes none" -}}
{{- end -}}
{{- end -}}
{{- if include "authserver.backs-up" . -}}
{{- if not .Values.backup.targets -}}
{{- fail "backup.targets is required on PostgreSQL: where backups go, such as away=s3://bucket/prefix?region=eu-central-1, since nothing that is kept in a pod outlives it; or say backup.enabled=false" -}}
{{- end -}}
{{- $_ := required "backup.signingSecret is required: the name of a Secret with backup-signing.pem, which signs backups in every pod; the chart makes none" .Values.backup.signingSecret -}}
{{- end -}}
{{- end -}}

{{- define "authserver.image" -}}
{{- printf "%s:%s" (required "image.repository is required: where you pushed the image built with deploy/docker/Dockerfile" .Values.image.repository) (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{/* What every container of every pod has, but its name, arguments and resources. */}}
{{- define "authserver.container" -}}
image: {{ include "authserver.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: AUTHSERVER_CONFIG
    value: /etc/authserver/config.yaml
envFrom:
  - secretRef:
      name: {{ .Values.existingSecret }}
  {{- with .Values.masterKeySecret }}
  - secretRef:
      name: {{ . }}
  {{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: config
    mountPath: /etc/authserver
    readOnly: true
  - name: state
    mountPath: /var/lib/authserver
  - name: tmp
    mountPath: /tmp
  {{- if include "authserver.backs-up" . }}
  - name: backup-signing
    mountPath: /var/lib/authserver/backup-signing.pem
    subPath: backup-signing.pem
    readOnly: true
  {{- end }}
{{- end -}}

{{/* What every pod has, but its containers. */}}
{{- define "authserver.pod" -}}
serviceAccountName: {{ include "authserver.name" . }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  {{- if eq .Values.storage.driver "sqlite" }}
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  {{- else if include "authserver.backs-up" . }}
  fsGroup: 10001
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: config
    configMap:
      name: {{ include "authserver.name" . }}
  - name: tmp
    emptyDir: { sizeLimit: 256Mi }
  {{- if eq .Values.storage.driver "postgres" }}
  # Nothing in here outlives the pod: a lock, a socket, the ready line. Keys are in the database.
  - name: state
    emptyDir: { sizeLimit: 256Mi }
  {{- end }}
  {{- if include "authserver.backs-up" . }}
  # Readable by the group of fsGroup alone (0440).
  - name: backup-signing
    secret: { secretName: {{ .Values.backup.signingSecret }}, defaultMode: 288 }
  {{- end }}
{{- end -}}
