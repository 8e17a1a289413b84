{{/* The objects that go with the sidecar, each where its values ask for it. */}}
{{- define "secretless.manifests" -}}
{{- $context := . -}}
{{- $values := (include "secretless.scope" . | fromJson).values -}}
{{- $parts := dict "configMap" $values.config "networkPolicy" $values.networkPolicy.enabled "podMonitor" $values.monitoring.podMonitor.enabled "serviceMonitor" $values.monitoring.serviceMonitor.enabled "prometheusRule" $values.monitoring.prometheusRule.enabled "dashboard" $values.monitoring.dashboard.enabled -}}
{{- range $part := list "configMap" "networkPolicy" "podMonitor" "serviceMonitor" "prometheusRule" "dashboard" -}}
{{- if index $parts $part }}
---
{{ include (printf "secretless.%s" $part) $context }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* (dict "context" . "suffix" "-x" "extra" labels): metadata of an object. */}}
{{- define "secretless.metadata" -}}
{{- $scope := include "secretless.scope" .context | fromJson -}}
name: {{ $scope.name }}{{ .suffix }}
namespace: {{ $scope.namespace }}
labels:
  {{- mergeOverwrite (include "secretless.labels" .context | fromYaml) (.extra | default dict) | toYaml | nindent 2 }}
{{- end -}}

{{/* The sidecar reloads it by itself (--watch): its pods need no annotation with a checksum. */}}
{{- define "secretless.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "secretless.metadata" (dict "context" . "suffix" "") | nindent 2 }}
data:
  {{ (include "secretless.scope" . | fromJson).values.configKey }}: |
    {{- include "secretless.config" . | fromJson | toYaml | nindent 4 }}
{{- end -}}

{{/*
Of the whole pod: containers share its network, so what the sidecar may reach the agent may reach as well, without a
credential.
*/}}
{{- define "secretless.networkPolicy" -}}
{{- $values := (include "secretless.scope" . | fromJson).values -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "secretless.metadata" (dict "context" . "suffix" "") | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "secretless.podLabels" . | nindent 6 }}
  policyTypes:
    - Ingress
    - Egress
  ingress:
    {{- with $values.networkPolicy.metricsFrom }}
    - ports:
        - port: 5335
          protocol: TCP
      from:
        {{- toYaml . | nindent 8 }}
    {{- end }}
    {{- with $values.networkPolicy.ingress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if not (or $values.networkPolicy.metricsFrom $values.networkPolicy.ingress) }} []{{ end }}
  egress:
    {{- with $values.networkPolicy.dns }}
    - ports:
        - port: 53
          protocol: UDP
        - port: 53
          protocol: TCP
      to:
        {{- toYaml . | nindent 8 }}
    {{- end }}
    {{- with $values.networkPolicy.egress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if not (or $values.networkPolicy.dns $values.networkPolicy.egress) }} []{{ end }}
{{- end -}}
