{{/*
The one line: (list . "name of the template that has the manifest") prints that manifest with the sidecar in its pod, and
the objects that go with it. A second workload of the same chart uses "secretless.inject", which prints the manifest
alone. A third word names the dependency where a chart has several.
*/}}
{{- define "secretless.workload" -}}
{{- $context := include "secretless.context" . | eq "alias" | ternary (list (first .) (last .)) (first .) -}}
{{- $manifest := include "secretless.inject" . -}}
{{- if $manifest -}}
{{ $manifest }}
{{- if (include "secretless.scope" $context | fromJson).values.enabled }}
{{ include "secretless.manifests" $context }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "secretless.context" -}}
{{- if or (not (kindIs "slice" .)) (lt (len .) 2) -}}
{{- fail "secretless: takes (list . \"name of the template that has the manifest\")" -}}
{{- end -}}
{{- if gt (len .) 2 }}alias{{ end -}}
{{- end -}}

{{/* As secretless.workload, without the objects. */}}
{{- define "secretless.inject" -}}
{{- $context := include "secretless.context" . | eq "alias" | ternary (list (first .) (last .)) (first .) -}}
{{- $scope := include "secretless.scope" $context | fromJson -}}
{{- $text := include (index . 1) (first .) | trim | trimPrefix "---" | trim -}}
{{- if not $scope.values.enabled -}}
{{ $text }}
{{- else if $text -}}
{{- if regexMatch `(?m)^---` $text -}}
{{- fail (printf "secretless: the template %s has more than one manifest" (index . 1)) -}}
{{- end -}}
{{- $manifest := fromYaml $text -}}
{{- if hasKey $manifest "Error" -}}
{{- fail (printf "secretless: the template %s is no manifest: %s" (index . 1) $manifest.Error) -}}
{{- end -}}
{{- $pod := $manifest -}}
{{- if eq $manifest.kind "CronJob" -}}
{{- $pod = $manifest.spec.jobTemplate.spec.template -}}
{{- else if ne $manifest.kind "Pod" -}}
{{- $pod = dig "spec" "template" dict $manifest -}}
{{- end -}}
{{- if not (dig "spec" "containers" "" $pod) -}}
{{- fail (printf "secretless: the template %s has no pod in it" (index . 1)) -}}
{{- end -}}
{{- include "secretless.refusePod" (dict "kind" $manifest.kind "spec" $pod.spec "scope" $scope) -}}
{{- include "secretless.intoPod" (dict "pod" $pod "context" $context "scope" $scope) -}}
{{- toYaml $manifest -}}
{{- end -}}
{{- end -}}

{{/* Changes the pod template in place. */}}
{{- define "secretless.intoPod" -}}
{{- $scope := .scope -}}
{{- $spec := .pod.spec -}}
{{- $metadata := .pod.metadata | default dict -}}
{{- $labels := mergeOverwrite ($metadata.labels | default dict) (include "secretless.podLabels" .context | fromYaml) -}}
{{- $_ := set $metadata "labels" $labels -}}
{{- $_ := set .pod "metadata" $metadata -}}
{{- $agents := $scope.values.agent.containers -}}
{{- $own := $spec.containers -}}
{{- if $agents -}}
{{- $own = list -}}
{{- $known := list -}}
{{- range concat $spec.containers ($spec.initContainers | default list) -}}
{{- $known = append $known .name -}}
{{- if has .name $agents -}}
{{- $own = append $own . -}}
{{- end -}}
{{- end -}}
{{- range $agents -}}
{{- if not (has . $known) -}}
{{- fail (printf "secretless: agent.containers: there is no container %s" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := include "secretless.intoContainers" (dict "containers" $own "context" .context) -}}
{{- if not $scope.native -}}
{{- /* It keeps serving for 20 s after the agent is told to end, and drains for 25 s. */ -}}
{{- $_ := set $spec "terminationGracePeriodSeconds" (max 50 (int64 ($spec.terminationGracePeriodSeconds | default 30))) -}}
{{- end -}}
{{- $init := concat (include "secretless.initContainers" .context | fromYamlArray) ($spec.initContainers | default list) -}}
{{- if $init -}}
{{- $_ := set $spec "initContainers" $init -}}
{{- end -}}
{{- $_ := set $spec "containers" (concat (include "secretless.containers" .context | fromYamlArray) $spec.containers) -}}
{{- $_ := set $spec "volumes" (concat ($spec.volumes | default list) (include "secretless.volumes" .context | fromYamlArray)) -}}
{{- end -}}

{{/* The agent's own containers: variables and the shared folder. What a container sets itself stays. */}}
{{- define "secretless.intoContainers" -}}
{{- $variables := include "secretless.agentEnv" .context | fromYamlArray -}}
{{- $mounts := include "secretless.agentVolumeMounts" .context | fromYamlArray -}}
{{- range $container := .containers -}}
{{- $names := list -}}
{{- range $container.env -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $env := list -}}
{{- range $variables -}}
{{- if not (has .name $names) -}}
{{- $env = append $env . -}}
{{- end -}}
{{- end -}}
{{- if $env -}}
{{- $_ := set $container "env" (concat $env ($container.env | default list)) -}}
{{- end -}}
{{- $_ := set $container "volumeMounts" (concat ($container.volumeMounts | default list) $mounts) -}}
{{- end -}}
{{- end -}}
