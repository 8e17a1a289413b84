{{/* List: the folder with sockets and trust files. */}}
{{- define "secretless.agentVolumeMounts" -}}
- name: secretless-share
  mountPath: /run/secretless
  readOnly: true
{{- end -}}

{{/*
List: what `secretless env` would set for a program beside the sidecar, as far as the configuration tells. No credential
is in it.
*/}}
{{- define "secretless.agentEnv" -}}
{{- $values := (include "secretless.scope" . | fromJson).values -}}
{{- $config := include "secretless.config" . | fromJson -}}
{{- $files := include "secretless.data" . | fromJson -}}
{{- $set := dict -}}
{{- $services := dict -}}
{{- if $values.agent.env -}}
{{- $proxy := include "secretless.proxyPort" . -}}
{{- if or $config.egress $values.agent.proxyPort -}}
{{- $set = include "secretless.trustEnv" $files | fromJson -}}
{{- if $proxy -}}
{{- $set = merge $set (include "secretless.proxyEnv" (dict "port" $proxy "config" $config) | fromJson) -}}
{{- end -}}
{{- $_ := set $set "JAVA_TOOL_OPTIONS" (include "secretless.javaOptions" (dict "port" $proxy)) -}}
{{- range $config.services -}}
{{- if not .listenOn -}}
{{- $host := regexReplaceAll `^https?://([^/:]*).*$` (toString .target) "${1}" -}}
{{- range index $files.placeholders $host -}}
{{- $_ := set $set . "held-by-secretless-sidecar" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $service := $config.services -}}
{{- range $variable, $value := include "secretless.serviceEnv" (dict "name" $name "service" $service "files" $files) | fromJson -}}
{{- if and (hasKey $services $variable) (ne (get $services $variable) $value) -}}
{{- /* Of two databases neither: a program that works on the wrong one is worse than one that finds none. */ -}}
{{- $_ := set $services $variable "" -}}
{{- else -}}
{{- $_ := set $services $variable $value -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $variable, $value := $services -}}
{{- if $value -}}
{{- $_ := set $set $variable $value -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $set = mergeOverwrite $set $values.agent.variables -}}
{{- range $name, $value := $set }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end -}}
{{- if not $set }}[]{{ end -}}
{{- end -}}

{{/* Names of variables, as the program has them. */}}
{{- define "secretless.data" -}}
{{- $root := . -}}
{{- if kindIs "slice" . -}}
{{- $root = first . -}}
{{- end -}}
{{- (index $root.Subcharts (include "secretless.scope" . | fromJson).alias).Files.Get "files/agent-variables.json" -}}
{{- end -}}

{{/* Of the egress listener on TCP; empty where there is none, or connections are redirected. */}}
{{- define "secretless.proxyPort" -}}
{{- $values := (include "secretless.scope" . | fromJson).values -}}
{{- $egress := (include "secretless.config" . | fromJson).egress | default dict -}}
{{- if $values.agent.proxyPort -}}
{{- int64 $values.agent.proxyPort -}}
{{- else if ne "transparent" (toString $egress.mode) -}}
{{- include "secretless.tcpPort" $egress.listenOn -}}
{{- end -}}
{{- end -}}

{{/* Of the first tcp:// of a listenOn; empty where there is none. */}}
{{- define "secretless.tcpPort" -}}
{{- $port := "" -}}
{{- range kindIs "slice" . | ternary . (list .) -}}
{{- if and (not $port) (hasPrefix "tcp" (toString .)) -}}
{{- $port = regexFind `[1-9][0-9]*$` (toString .) -}}
{{- end -}}
{{- end -}}
{{- $port -}}
{{- end -}}

{{- define "secretless.trustEnv" -}}
{{- $set := dict -}}
{{- range .extra -}}
{{- $_ := set $set . "/run/secretless/egress-ca.pem" -}}
{{- end -}}
{{- range .bundle -}}
{{- $_ := set $set . "/run/secretless/egress-ca-bundle.pem" -}}
{{- end -}}
{{- toJson $set -}}
{{- end -}}

{{- define "secretless.proxyEnv" -}}
{{- $tokens := false -}}
{{- range .config.agents -}}
{{- $tokens = or $tokens (hasKey . "token") -}}
{{- end -}}
{{- if and $tokens (not (dig "egress" "agent" "" .config)) -}}
{{- fail "secretless: config.agents asks for tokens, which no container gets: name the agent of this pod as config.egress.agent" -}}
{{- end -}}
{{- $url := printf "http://127.0.0.1:%s" .port -}}
{{- $direct := "localhost,127.0.0.1,::1" -}}
{{- $set := dict "NODE_USE_ENV_PROXY" "1" "CLOUDSDK_PROXY_TYPE" "http" "CLOUDSDK_PROXY_ADDRESS" "127.0.0.1" "CLOUDSDK_PROXY_PORT" .port -}}
{{- range list "HTTP_PROXY" "http_proxy" "HTTPS_PROXY" "https_proxy" "ALL_PROXY" "all_proxy" "grpc_proxy" "YARN_HTTP_PROXY" "YARN_HTTPS_PROXY" -}}
{{- $_ := set $set . $url -}}
{{- end -}}
{{- range list "NO_PROXY" "no_proxy" "no_grpc_proxy" -}}
{{- $_ := set $set . $direct -}}
{{- end -}}
{{- toJson $set -}}
{{- end -}}

{{- define "secretless.javaOptions" -}}
{{- $words := list "-Djavax.net.ssl.trustStore=/run/secretless/egress-trust.p12" "-Djavax.net.ssl.trustStoreType=PKCS12" "-Djavax.net.ssl.trustStorePassword=changeit" -}}
{{- $port := .port -}}
{{- if $port -}}
{{- range list "http" "https" -}}
{{- $words = append $words (printf "-D%s.proxyHost=127.0.0.1" .) -}}
{{- $words = append $words (printf "-D%s.proxyPort=%s" . $port) -}}
{{- end -}}
{{- $words = append $words "-Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1]" -}}
{{- end -}}
{{- join " " $words -}}
{{- end -}}
