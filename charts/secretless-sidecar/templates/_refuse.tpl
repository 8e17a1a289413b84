{{/*
Pods in which the sidecar would protect nothing, or never work: those that the injector refuses, since whoever gives a
container more than this takes the point out of the sidecar.
*/}}
{{- define "secretless.refusePod" -}}
{{- $spec := .spec -}}
{{- $values := .scope.values -}}
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
{{- end -}}
{{- range $spec.volumes -}}
{{- include "secretless.refuseVolume" (dict "volume" . "secrets" $values.secrets) -}}
{{- end -}}
{{- end -}}

{{/* Names that lead back into the pod would make the sidecar log in to the agent. */}}
{{- define "secretless.refuseNames" -}}
{{- $loopback := `(?i)^(127\.|::1$|::ffff:127\.|0\.0\.0\.0$|::$)` -}}
{{- range .hostAliases -}}
{{- if and (regexMatch $loopback .ip) (ne (join "," .hostnames) "localhost") -}}
{{- fail (printf "secretless: hostAliases lead %s to this pod, where an agent could take logins in" (join ", " .hostnames)) -}}
{{- end -}}
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
{{- $user := toString (dig "securityContext" "runAsUser" (dig "securityContext" "runAsUser" "" .spec) $container) -}}
{{- if and .user (ne $user "") (eq (int64 $user) (int64 .user)) -}}
{{- fail (printf "secretless: the container %s runs as user %d, which is the sidecar's: give it another" $container.name (int64 .user)) -}}
{{- end -}}
{{- range $container.ports -}}
{{- if eq 5335 (int .containerPort) -}}
{{- fail (printf "secretless: the container %s names port 5335, which is the sidecar's: use another" $container.name) -}}
{{- end -}}
{{- end -}}
{{- range $container.volumeMounts -}}
{{- if hasPrefix "secretless-" .name -}}
{{- fail (printf "secretless: the container %s mounts %s, which is the sidecar's: remove the mount" $container.name .name) -}}
{{- end -}}
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
{{- $audiences := list -}}
{{- range dig "projected" "sources" list $volume -}}
{{- $names = append $names (dig "secret" "name" "" .) -}}
{{- $audiences = append $audiences (dig "serviceAccountToken" "audience" "" .) -}}
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
