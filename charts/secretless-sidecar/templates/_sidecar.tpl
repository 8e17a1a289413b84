{{/* The container. */}}
{{- define "secretless.sidecar" -}}
{{- $scope := include "secretless.scope" . | fromJson -}}
{{- $values := $scope.values -}}
name: secretless-sidecar
image: {{ include "secretless.image" . }}
imagePullPolicy: {{ $values.image.pullPolicy }}
{{- if $scope.native }}
restartPolicy: Always
{{- end }}
args:
  - start
  - -f
  - /etc/secretless/secretless.yml
  - --watch
  - --sidecar
  - {{ $scope.native | ternary "native" "plain" }}
  - --telemetry
  - {{ printf "tcp://%s:5335" $values.telemetry.host | quote }}
  - --trust
  - /run/secretless
  {{- range $values.extraArgs }}
  - {{ . | quote }}
  {{- end }}
env:
  - name: SECRETLESS_HOME
    value: /var/lib/secretless
  # Empty: the image has what node is started with.
  - name: NODE_OPTIONS
  {{- range $values.secrets.env }}
  - name: {{ .name }}
    valueFrom:
      secretKeyRef:
        name: {{ .secret | quote }}
        key: {{ .key | default .name | quote }}
  {{- end }}
  {{- range $name, $value := $values.env }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
ports:
  - name: secretless-http
    containerPort: 5335
    protocol: TCP
{{- range $probe, $path := dict "startupProbe" "/readyz" "livenessProbe" "/livez" "readinessProbe" "/readyz" }}
{{ $probe }}:
  httpGet:
    path: {{ $path }}
    port: secretless-http
  {{- toYaml (index $values.probes (trimSuffix "Probe" $probe)) | nindent 2 }}
{{- end }}
{{- if not $scope.native }}
# Holds back the containers after it: those that start before the sidecar would meet a closed port.
lifecycle:
  postStart:
    exec:
      command: {{ toJson $values.waitCommand }}
{{- end }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "secretless.securityContext" . | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  - name: secretless-config
    mountPath: /etc/secretless
    readOnly: true
  - name: secretless-state
    mountPath: /var/lib/secretless
  - name: secretless-share
    mountPath: /run/secretless
  {{- if $values.secrets.files }}
  - name: secretless-secret
    mountPath: /var/run/secrets/secretless
    readOnly: true
  {{- end }}
  {{- if $values.secrets.serviceAccountTokens }}
  - name: secretless-token
    mountPath: /var/run/secrets/secretless-token
    readOnly: true
  {{- end }}
{{- end -}}

{{- define "secretless.image" -}}
{{- $scope := include "secretless.scope" . | fromJson -}}
{{- with $scope.values.image -}}
{{- if .digest -}}
{{ printf "%s@%s" .repository .digest | quote }}
{{- else -}}
{{ printf "%s:%s" .repository (.tag | default $scope.version) | quote }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the restricted Pod Security profile asks for, and a root file system that nobody writes to. */}}
{{- define "secretless.securityContext" -}}
{{- $values := (include "secretless.scope" . | fromJson).values -}}
allowPrivilegeEscalation: false
privileged: false
capabilities:
  drop:
    - ALL
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- with $values.user }}
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* List: what goes before the init containers of the pod. */}}
{{- define "secretless.initContainers" -}}
{{- $scope := include "secretless.scope" . | fromJson -}}
{{- if or $scope.values.transparent.enabled $scope.values.confine.enabled }}
- {{ include "secretless.redirect" . | nindent 2 | trim }}
{{- end }}
{{- if $scope.native }}
- {{ include "secretless.sidecar" . | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{/* List: what goes before the containers of the pod; empty for a native sidecar. */}}
{{- define "secretless.containers" -}}
{{- if not (include "secretless.scope" . | fromJson).native -}}
- {{ include "secretless.sidecar" . | nindent 2 | trim }}
{{- end -}}
{{- end -}}

{{/* List. */}}
{{- define "secretless.volumes" -}}
{{- $values := (include "secretless.scope" . | fromJson).values -}}
- name: secretless-config
  configMap:
    name: {{ include "secretless.configMapName" . | quote }}
    defaultMode: 0444
    items:
      - key: {{ $values.configKey | quote }}
        path: secretless.yml
- name: secretless-state
  emptyDir:
    {{- if $values.state.sizeLimit }}
    sizeLimit: {{ $values.state.sizeLimit }}
    {{- else }} {}
    {{- end }}
- name: secretless-share
  emptyDir:
    medium: Memory
{{- /* Readable by all, since only the sidecar mounts them, as a user that need not be their owner. */ -}}
{{- if $values.secrets.files }}
- name: secretless-secret
  projected:
    defaultMode: 0444
    sources:
      {{- range $values.secrets.files }}
      - secret:
          name: {{ .secret | quote }}
          items:
            - key: {{ .key | quote }}
              path: {{ .path | default .key | quote }}
      {{- end }}
{{- end }}
{{- if $values.secrets.serviceAccountTokens }}
- name: secretless-token
  projected:
    defaultMode: 0444
    sources:
      {{- range $values.secrets.serviceAccountTokens }}
      - serviceAccountToken:
          audience: {{ .audience | quote }}
          path: {{ .path | quote }}
          expirationSeconds: {{ int64 (.expirationSeconds | default 3600) }}
      {{- end }}
{{- end }}
{{- end -}}
