{{- define "secretless-injector.name" -}}
{{- if contains "secretless-injector" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-secretless-injector" (.Release.Name | trunc 32 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "secretless-injector.selector" -}}
app.kubernetes.io/name: secretless-injector
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "secretless-injector.labels" -}}
{{ include "secretless-injector.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "secretless-injector.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{/* One webhook of the configuration; `label` is what its namespaces have. */}}
{{- define "secretless-injector.webhook" -}}
{{- $root := .root -}}
- name: {{ .name }}
  admissionReviewVersions: [v1]
  sideEffects: None
  reinvocationPolicy: IfNeeded
  matchPolicy: Equivalent
  failurePolicy: {{ $root.Values.webhook.failurePolicy }}
  timeoutSeconds: {{ $root.Values.webhook.timeoutSeconds }}
  clientConfig:
    service:
      name: {{ include "secretless-injector.name" $root }}
      namespace: {{ $root.Release.Namespace }}
      path: /mutate
      port: 443
    {{- with $root.Values.certificate.caBundle }}
    caBundle: {{ . }}
    {{- end }}
  rules:
    - apiGroups: ['']
      apiVersions: [v1]
      operations: [CREATE]
      resources: [pods]
      scope: Namespaced
  namespaceSelector:
    matchLabels: {{- toYaml .label | nindent 6 }}
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: NotIn
        values: {{- append $root.Values.webhook.excludedNamespaces $root.Release.Namespace | uniq | sortAlpha | toYaml | nindent 10 }}
  {{- with $root.Values.webhook.objectSelector }}
  objectSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $conditions := $root.Values.webhook.matchConditions -}}
  {{- if or (eq $conditions "true") (and (eq $conditions "auto") (semverCompare ">=1.30.0-0" $root.Capabilities.KubeVersion.Version)) }}
  matchConditions:
    - name: annotated
      expression: >-
        has(object.metadata.annotations) && object.metadata.annotations.exists(name, name.startsWith("secretless.dev/") ||
        name.startsWith("conjur.org/") || name.startsWith("sidecar-injector.cyberark.com/"))
  {{- end }}
{{- end -}}
