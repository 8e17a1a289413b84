{{/*
Every template takes the root context of the chart, or (list root "alias") where a chart depends on the library more than
once. `secretless.scope` answers JSON: alias, name (of every object), version, values, native.
*/}}
{{- define "secretless.scope" -}}
{{- $root := . -}}
{{- $wanted := "" -}}
{{- if kindIs "slice" . -}}
{{- $root = first . -}}
{{- $wanted = last . -}}
{{- end -}}
{{- $own := list -}}
{{- range $alias, $chart := $root.Subcharts -}}
{{- $mark := "" -}}
{{- with $chart.Chart.Annotations -}}
{{- $mark = index . "secretless.dev/library" -}}
{{- end -}}
{{- if and (eq $mark "true") (or (eq $wanted "") (eq $wanted $alias)) -}}
{{- $own = append $own $alias -}}
{{- end -}}
{{- end -}}
{{- if eq (len $own) 0 -}}
{{- fail (printf "secretless: %s is no dependency of this chart" (default "secretless-sidecar" $wanted)) -}}
{{- end -}}
{{- if gt (len $own) 1 -}}
{{- fail (printf "secretless: say which of %s: (list . \"template\" \"alias\")" (join ", " $own)) -}}
{{- end -}}
{{- $alias := first $own -}}
{{- $chart := index $root.Subcharts $alias -}}
{{- $native := toString $chart.Values.native | eq "true" -}}
{{- if eq (toString $chart.Values.native) "auto" -}}
{{- $native = semverCompare ">=1.29-0" $root.Capabilities.KubeVersion.Version -}}
{{- end -}}
{{- $name := printf "%s-%s" $root.Release.Name $alias | trunc 52 | trimSuffix "-" -}}
{{- dict "alias" $alias "name" $name "release" $root.Release.Name "namespace" $root.Release.Namespace "version" $chart.Chart.AppVersion "values" $chart.Values "native" $native | toJson -}}
{{- end -}}

{{/* Of every object. */}}
{{- define "secretless.labels" -}}
{{- $scope := include "secretless.scope" . | fromJson -}}
app.kubernetes.io/name: secretless-sidecar
app.kubernetes.io/instance: {{ $scope.release }}
app.kubernetes.io/version: {{ $scope.version | quote }}
app.kubernetes.io/managed-by: Helm
{{- end -}}

{{/* Of every pod that has the sidecar: what its NetworkPolicy and its monitors select by. */}}
{{- define "secretless.podLabels" -}}
{{- $scope := include "secretless.scope" . | fromJson -}}
secretless.dev/sidecar: {{ $scope.name }}
{{- end -}}

{{/*
The configuration as JSON; {} where the chart does not hold it. Null takes out what a chart's own values have, for
whoever writes others beside them: maps of values are merged.
*/}}
{{- define "secretless.config" -}}
{{- $values := (include "secretless.scope" . | fromJson).values -}}
{{- if and $values.config $values.existingConfigMap -}}
{{- fail "secretless: config and existingConfigMap exclude each other" -}}
{{- end -}}
{{- if not (or $values.config $values.existingConfigMap) -}}
{{- fail "secretless: write config, or name an existingConfigMap" -}}
{{- end -}}
{{- $config := dict -}}
{{- range $key, $value := $values.config -}}
{{- if kindIs "map" $value -}}
{{- $kept := dict -}}
{{- range $name, $part := $value -}}
{{- if not (kindIs "invalid" $part) -}}
{{- $_ := set $kept $name $part -}}
{{- end -}}
{{- end -}}
{{- $_ := set $config $key $kept -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $config $key $value -}}
{{- end -}}
{{- end -}}
{{- include "secretless.refuseLiterals" $config -}}
{{- toJson $config -}}
{{- end -}}

{{- define "secretless.configMapName" -}}
{{- $scope := include "secretless.scope" . | fromJson -}}
{{- $scope.values.existingConfigMap | default $scope.name -}}
{{- end -}}
