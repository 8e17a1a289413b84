{{/*
Pods in which the sidecar would protect nothing, or never work: those that the injector refuses, since whoever gives a
container more than this takes the point out of the sidecar.
*/}}
{{- define "secretless.refusePod" -}}
{{- $spec := .spec -}}
{{- $values := .scope.values -}}
{{- $config := $values.existingConfigMap | default .scope.name -}}
{{- if and (has .kind (list "Job" "CronJob")) (not .scope.native) -}}
{{- fail (printf "secretless: a %s would never end beside a plain container: it needs native sidecars, Kubernetes 1.29" .kind) -}}
{{- end -}}
{{- if $spec.shareProcessNamespace -}}
{{- fail "secretless: shareProcessNamespace would show the process of the sidecar to the agent: remove it" -}}
{{- end -}}
{{- range list "hostPID" "hostIPC" "hostNetwork" -}}
{{- if index $spec . -}}
{{- fail (printf "secretless: %s would open the sidecar to the whole node: remove it" .) -}}
{{- end -}}
{{- end -}}
{{- include "secretless.refuseNames" $spec -}}
{{- range concat $spec.containers ($spec.initContainers | default list) -}}
{{- include "secretless.refuseContainer" (dict "container" . "spec" $spec "user" $values.user) -}}
{{- include "secretless.refuseLent" (dict "container" . "secrets" $values.secrets) -}}
{{- include "secretless.refuseSources" (dict "container" . "config" $config) -}}
{{- if and $values.confine.enabled $values.user -}}
{{- include "secretless.refuseUnconfined" (dict "container" . "spec" $spec) -}}
{{- end -}}
{{- end -}}
{{- range $spec.volumes -}}
{{- include "secretless.refuseVolume" (dict "volume" . "secrets" $values.secrets "config" $config) -}}
{{- end -}}
{{- end -}}

{{/* Names that lead back into the pod would make the sidecar log in to the agent. */}}
{{- define "secretless.refuseNames" -}}
{{- /* However it is written; Kubernetes takes zeros in front for decimal. */ -}}
{{- $loopback := `(?i)^(0*127\.|0+(\.0+){3}$|[0:]*:[0:]*$|[0:]+:0*1$|[0:]+:(0+\.){3}0*1$|[0:]*:ffff:(127\.|7f[0-9a-f]{2}:))` -}}
{{- range .hostAliases -}}
{{- if and (regexMatch $loopback .ip) (ne (join "," .hostnames) "localhost") -}}
{{- fail (printf "secretless: hostAliases lead %s to this pod, where an agent could take logins in" (join ", " .hostnames)) -}}
{{- end -}}
{{- end -}}
{{- if contains "." (toString (.hostnameOverride | default "")) -}}
{{- fail (printf "secretless: hostnameOverride leads %s to this pod, where an agent could take logins in" .hostnameOverride) -}}
{{- end -}}
{{- range dig "dnsConfig" "nameservers" list . -}}
{{- if regexMatch $loopback . -}}
{{- fail "secretless: dnsConfig asks this pod itself for names: name another server" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "secretless.refuseContainer" -}}
{{- $container := .container -}}
{{- if has $container.name (list "secretless-sidecar" "secretless-redirect") -}}
{{- fail (printf "secretless: the pod has a container %s already" $container.name) -}}
{{- end -}}
{{- $security := $container.securityContext | default dict -}}
{{- if $security.privileged -}}
{{- fail (printf "secretless: the container %s is privileged, which is the node: remove it" $container.name) -}}
{{- end -}}
{{- $breaking := list "ALL" "SYS_ADMIN" "SYS_PTRACE" "SYS_MODULE" "SYS_RAWIO" "BPF" "PERFMON" "DAC_READ_SEARCH" "CHECKPOINT_RESTORE" "SYS_BOOT" "SYSLOG" "NET_ADMIN" "NET_RAW" -}}
{{- range dig "capabilities" "add" list $security -}}
{{- if has (upper . | trimPrefix "CAP_") $breaking -}}
{{- fail (printf "secretless: the container %s adds %s, which sees or turns what the sidecar does: remove it" $container.name .) -}}
{{- end -}}
{{- end -}}
{{- /* A number: as text a large one has an exponent. */ -}}
{{- $user := dig "securityContext" "runAsUser" (dig "securityContext" "runAsUser" "" .spec) $container -}}
{{- if and .user (regexMatch `^[0-9]` (toString $user)) (eq (int64 $user) (int64 .user)) -}}
{{- fail (printf "secretless: the container %s runs as user %d, which is the sidecar's: give it another" $container.name (int64 .user)) -}}
{{- end -}}
{{- range $container.ports -}}
{{- if eq 5335 (int .containerPort) -}}
{{- fail (printf "secretless: the container %s names port 5335, which is the sidecar's: use another" $container.name) -}}
{{- end -}}
{{- end -}}
{{- range concat ($container.volumeMounts | default list) ($container.volumeDevices | default list) -}}
{{- if hasPrefix "secretless-" .name -}}
{{- fail (printf "secretless: the container %s mounts %s, which is the sidecar's: remove the mount" $container.name .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Rules by user hold while nobody but the sidecar can be its user: not by the image, not by setuid(2), not by a program with
the set-user-ID bit. Raw packets would pass them by, too.
*/}}
{{- define "secretless.refuseUnconfined" -}}
{{- $container := .container -}}
{{- if not (regexMatch `^[0-9]` (toString (dig "securityContext" "runAsUser" (dig "securityContext" "runAsUser" "" .spec) $container))) -}}
{{- fail (printf "secretless: with confine the container %s must name its user, since that of its image may be the sidecar's: set securityContext.runAsUser" $container.name) -}}
{{- end -}}
{{- $capabilities := dig "securityContext" "capabilities" dict $container -}}
{{- $added := $capabilities.add | default list -}}
{{- if or (not (has "ALL" ($capabilities.drop | default list))) (has "SETUID" $added) (has "CAP_SETUID" $added) -}}
{{- fail (printf "secretless: with confine the container %s must drop ALL capabilities and not add SETUID, with which it could become the sidecar's user" $container.name) -}}
{{- end -}}
{{- if ne "false" (toString (dig "securityContext" "allowPrivilegeEscalation" "" $container)) -}}
{{- fail (printf "secretless: with confine the container %s must not become another user: set securityContext.allowPrivilegeEscalation: false" $container.name) -}}
{{- end -}}
{{- end -}}

{{/* (dict "container" "config"): variables out of the sidecar's volumes, which need no mount, and out of its ConfigMap. */}}
{{- define "secretless.refuseSources" -}}
{{- $container := .container -}}
{{- $maps := list -}}
{{- range $container.env -}}
{{- if hasPrefix "secretless-" (toString (dig "valueFrom" "fileKeyRef" "volumeName" "" .)) -}}
{{- fail (printf "secretless: the container %s gets %s from a volume of the sidecar: remove it" $container.name .name) -}}
{{- end -}}
{{- $maps = append $maps (dig "valueFrom" "configMapKeyRef" "name" "" .) -}}
{{- end -}}
{{- range $container.envFrom -}}
{{- $maps = append $maps (dig "configMapRef" "name" "" .) -}}
{{- end -}}
{{- if has .config $maps -}}
{{- fail (printf "secretless: the container %s gets the ConfigMap of the sidecar, which agents need not know: remove it" $container.name) -}}
{{- end -}}
{{- end -}}

{{/* A Secret that the sidecar lends must not be in the agent's hands as well. */}}
{{- define "secretless.refuseLent" -}}
{{- $container := .container -}}
{{- range $lent := concat .secrets.env .secrets.files -}}
{{- range $container.env -}}
{{- $reference := dig "valueFrom" "secretKeyRef" dict . -}}
{{- if and (eq (toString $reference.name) $lent.secret) (eq (toString $reference.key) (toString ($lent.key | default $lent.name))) -}}
{{- fail (printf "secretless: the container %s gets %s from the Secret %s, which the sidecar lends: remove it" $container.name .name $lent.secret) -}}
{{- end -}}
{{- end -}}
{{- range $container.envFrom -}}
{{- if eq (toString (dig "secretRef" "name" "" .)) $lent.secret -}}
{{- fail (printf "secretless: the container %s gets all of the Secret %s, which the sidecar lends: remove it" $container.name $lent.secret) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "secretless.refuseVolume" -}}
{{- $volume := .volume -}}
{{- if hasPrefix "secretless-" $volume.name -}}
{{- fail (printf "secretless: the pod has a volume %s already" $volume.name) -}}
{{- end -}}
{{- if hasKey $volume "hostPath" -}}
{{- fail (printf "secretless: the volume %s is a folder of the node, where the files of every pod are: use another kind" $volume.name) -}}
{{- end -}}
{{- $names := list (dig "secret" "secretName" "" $volume) -}}
{{- $maps := list (dig "configMap" "name" "" $volume) -}}
{{- $audiences := list -}}
{{- range dig "projected" "sources" list $volume -}}
{{- $names = append $names (dig "secret" "name" "" .) -}}
{{- $maps = append $maps (dig "configMap" "name" "" .) -}}
{{- $audiences = append $audiences (dig "serviceAccountToken" "audience" "" .) -}}
{{- end -}}
{{- if has .config $maps -}}
{{- fail (printf "secretless: the volume %s holds the ConfigMap of the sidecar, which agents need not know: remove it" $volume.name) -}}
{{- end -}}
{{- range concat .secrets.env .secrets.files -}}
{{- if has .secret $names -}}
{{- fail (printf "secretless: the volume %s holds the Secret %s, which the sidecar lends: remove it" $volume.name .secret) -}}
{{- end -}}
{{- end -}}
{{- range .secrets.serviceAccountTokens -}}
{{- if has .audience $audiences -}}
{{- fail (printf "secretless: the volume %s has a token for the audience %s, which is the sidecar's: remove it" $volume.name .audience) -}}
{{- end -}}
{{- end -}}
{{- end -}}
