{{- define "secretless.podMonitor" -}}
{{- $monitor := (include "secretless.scope" . | fromJson).values.monitoring.podMonitor -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "secretless.metadata" (dict "context" . "suffix" "" "extra" $monitor.labels) | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "secretless.podLabels" . | nindent 6 }}
  podMetricsEndpoints:
    - port: secretless-http
      path: /metrics
      interval: {{ $monitor.interval }}
{{- end -}}

{{/* Its Service has no address of its own: it is there to be found. */}}
{{- define "secretless.serviceMonitor" -}}
{{- $monitor := (include "secretless.scope" . | fromJson).values.monitoring.serviceMonitor -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "secretless.metadata" (dict "context" . "suffix" "-metrics" "extra" (include "secretless.podLabels" . | fromYaml)) | nindent 2 }}
spec:
  clusterIP: None
  # Metrics of a pod that is not ready say why.
  publishNotReadyAddresses: true
  selector:
    {{- include "secretless.podLabels" . | nindent 4 }}
  ports:
    - name: secretless-http
      port: 5335
      # By number: before Kubernetes 1.32 names of ports of native sidecars were not found.
      targetPort: 5335
      protocol: TCP
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "secretless.metadata" (dict "context" . "suffix" "" "extra" $monitor.labels) | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "secretless.podLabels" . | nindent 6 }}
  endpoints:
    - port: secretless-http
      path: /metrics
      interval: {{ $monitor.interval }}
{{- end -}}

{{/* Found by the sidecar of Grafana's own chart. */}}
{{- define "secretless.dashboard" -}}
{{- $scope := include "secretless.scope" . | fromJson -}}
{{- $root := . -}}
{{- if kindIs "slice" . -}}
{{- $root = first . -}}
{{- end -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "secretless.metadata" (dict "context" . "suffix" "-dashboard" "extra" $scope.values.monitoring.dashboard.labels) | nindent 2 }}
data:
  secretless.json: |
    {{- (index $root.Subcharts $scope.alias).Files.Get "dashboards/secretless.json" | nindent 4 }}
{{- end -}}

{{/* Of all sidecars of the namespace: one release is enough. */}}
{{- define "secretless.prometheusRule" -}}
{{- $scope := include "secretless.scope" . | fromJson -}}
{{- $root := . -}}
{{- if kindIs "slice" . -}}
{{- $root = first . -}}
{{- end -}}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  {{- include "secretless.metadata" (dict "context" . "suffix" "" "extra" $scope.values.monitoring.prometheusRule.labels) | nindent 2 }}
spec:
  {{- (index $root.Subcharts $scope.alias).Files.Get "files/alerts.yml" | replace "NAMESPACE" $scope.namespace | nindent 2 }}
{{- end -}}
