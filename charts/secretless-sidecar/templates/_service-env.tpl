{{/* JSON: what programs that use one service need, as its connector says to `secretless env`. */}}
{{- define "secretless.serviceEnv" -}}
{{- $service := .service -}}
{{- $connector := toString $service.connector -}}
{{- $port := include "secretless.tcpPort" $service.listenOn -}}
{{- $variable := include "secretless.urlVariable" .name -}}
{{- $set := dict -}}
{{- if has $connector (list "http" "generic_http" "basic-auth" "basic_auth") -}}
{{- if and $service.target $port -}}
{{- $_ := set $set $variable (printf "http://127.0.0.1:%s" $port) -}}
{{- end -}}
{{- else if has $connector (list "postgres" "pg") -}}
{{- $set = include "secretless.postgresEnv" (dict "service" $service "port" $port "variable" $variable) | fromJson -}}
{{- else if eq $connector "aws" -}}
{{- $set = include "secretless.awsEnv" (dict "service" $service "port" $port "files" .files "variable" $variable) | fromJson -}}
{{- else if eq $connector "ssh-agent" -}}
{{- $socket := include "secretless.socketPath" $service.listenOn -}}
{{- if $socket -}}
{{- $_ := set $set "SSH_AUTH_SOCK" $socket -}}
{{- end -}}
{{- end -}}
{{- toJson $set -}}
{{- end -}}

{{/* ORDERS_DB_URL of orders-db. */}}
{{- define "secretless.urlVariable" -}}
{{- $word := regexReplaceAll `[^A-Z0-9]+` (upper .) "_" -}}
{{- printf "%s_URL" (regexMatch `^[0-9]` $word | ternary (printf "_%s" $word) $word) -}}
{{- end -}}

{{/* The first unix:// of a listenOn; empty where there is none. */}}
{{- define "secretless.socketPath" -}}
{{- $path := "" -}}
{{- range kindIs "slice" . | ternary . (list .) -}}
{{- if and (not $path) (hasPrefix "unix://" (toString .)) -}}
{{- $path = trimPrefix "unix://" (toString .) -}}
{{- end -}}
{{- end -}}
{{- $path -}}
{{- end -}}

{{- define "secretless.postgresEnv" -}}
{{- $config := .service.config | default dict -}}
{{- $user := .service.agent | default "local" -}}
{{- $database := $config.database | default "" -}}
{{- $sslmode := eq "off" (toString ($config.tls | default "off")) | ternary "disable" "require" -}}
{{- $socket := include "secretless.socketPath" .service.listenOn -}}
{{- $port := .port -}}
{{- $host := "127.0.0.1" -}}
{{- $url := printf "postgres://%s@127.0.0.1:%s/%s?sslmode=%s" $user $port $database $sslmode -}}
{{- if regexMatch `/\.s\.PGSQL\.[0-9]+$` $socket -}}
{{- $port = regexFind `[0-9]+$` $socket -}}
{{- $host = dir $socket -}}
{{- $url = printf "postgres://%s@/%s?host=%s&port=%s&sslmode=%s" $user $database (urlquery $host) $port $sslmode -}}
{{- else if $socket -}}
{{- $port = "" -}}
{{- end -}}
{{- $set := dict -}}
{{- if $port -}}
{{- $set = dict "PGHOST" $host "PGPORT" $port "PGUSER" $user "PGSSLMODE" $sslmode "PGGSSENCMODE" "disable" "DATABASE_URL" $url .variable $url -}}
{{- if $database -}}
{{- $_ := set $set "PGDATABASE" $database -}}
{{- end -}}
{{- end -}}
{{- toJson $set -}}
{{- end -}}

{{/* The key is made up and known to everybody: what it signs is signed anew. */}}
{{- define "secretless.awsEnv" -}}
{{- $config := .service.config | default dict -}}
{{- $set := dict -}}
{{- if and $config.region (not $config.agents) -}}
{{- $set = dict "AWS_ACCESS_KEY_ID" "SECRETLESSSIDECAR" "AWS_SECRET_ACCESS_KEY" "secretless-sidecar-has-the-real-key" "AWS_REGION" $config.region "AWS_DEFAULT_REGION" $config.region "AWS_EC2_METADATA_DISABLED" "true" "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH" "true" "AWS_CONFIG_FILE" "/dev/null" "AWS_SHARED_CREDENTIALS_FILE" "/dev/null" -}}
{{- if .port -}}
{{- $url := printf "http://127.0.0.1:%s" .port -}}
{{- if and .service.target $config.service -}}
{{- $_ := set $set (printf "AWS_ENDPOINT_URL_%s" (upper $config.service | replace "-" "_")) $url -}}
{{- else -}}
{{- $_ := set $set "AWS_ENDPOINT_URL" $url -}}
{{- end -}}
{{- if .service.target -}}
{{- $_ := set $set .variable $url -}}
{{- else -}}
{{- range $name, $prefix := .files.awsEndpoints -}}
{{- $_ := set $set $name (printf "%s/_aws/%s" $url $prefix) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $set -}}
{{- end -}}
