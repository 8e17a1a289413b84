{{/*
Whoever may read a ConfigMap would read the credential: each must come from a provider. Takes the configuration; messages
name the place and never the value.
*/}}
{{- define "secretless.refuseLiterals" -}}
{{- $types := dict -}}
{{- range $name, $provider := .providers | default dict -}}
{{- $_ := set $types $name (dig "type" $name $provider) -}}
{{- end -}}
{{- range $name, $service := .services | default dict -}}
{{- $place := printf "config.services.%s" $name -}}
{{- $credentials := $service.credentials | default dict -}}
{{- if kindIs "string" $credentials.from -}}
{{- include "secretless.refuseLiteral" (list (printf "%s.credentials" $place) $credentials $types false) -}}
{{- else -}}
{{- range $credential, $value := $credentials -}}
{{- if eq "secret" (include "secretless.credentialKind" (list $service.connector $credential)) -}}
{{- include "secretless.refuseLiteral" (list (printf "%s.credentials.%s" $place $credential) $value $types false) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "secretless.refuseLiteral" (list (printf "%s.tls.key" $place) (dig "tls" "key" "" $service) $types true) -}}
{{- range $part := list "headers" "queryParams" -}}
{{- range $header, $value := dig "config" $part dict $service -}}
{{- if and (regexMatch "(?i)authorization|key|token|cookie|secret|password" $header) (not (contains "{{" (toString $value))) -}}
{{- include "secretless.refuseLiteral" (list (printf "%s.config.%s.%s" $place $part $header) $value $types false) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $agent := .agents | default dict -}}
{{- include "secretless.refuseLiteral" (list (printf "config.agents.%s.token" $name) $agent.token $types false) -}}
{{- end -}}
{{- $proxy := dig "upstreamProxy" dict (.egress | default dict) -}}
{{- if kindIs "map" $proxy -}}
{{- include "secretless.refuseLiteral" (list "config.egress.upstreamProxy.password" $proxy.password $types false) -}}
{{- end -}}
{{- $text := toJson . -}}
{{- /* Digits and a slash after the colon are a port and a path. */ -}}
{{- if regexMatch `://[^/@\s":]*:([0-9]*[^@\s"$0-9/][^@\s"]*|[0-9]+)@` $text -}}
{{- fail "secretless: a URL in config has a password in clear, and a ConfigMap would show it" -}}
{{- end -}}
{{- if regexMatch `-----BEGIN [A-Z ]*PRIVATE KEY` $text -}}
{{- fail "secretless: config holds a private key, and a ConfigMap would show it" -}}
{{- end -}}
{{- end -}}

{{/* (list connector credential): "public" for what says where to log in and as whom, else "secret". */}}
{{- define "secretless.credentialKind" -}}
{{- $public := list "accessKeyId" "address" "certificate" "comment" "confirm" "host" "hostKey" "knownHosts" "lifetime" "port" "sslcert" "sslhost" "sslmode" "sslrootcert" "user" "username" -}}
{{- $connector := toString (first .) -}}
{{- $credential := last . -}}
{{- if has $connector (list "postgres" "pg") -}}
{{- ternary "secret" "public" (has $credential (list "password" "sslkey" "url")) -}}
{{- else -}}
{{- ternary "public" "secret" (has $credential $public) -}}
{{- end -}}
{{- end -}}

{{/* (list place value types isPath): a path is where a key is, and a variable is the sidecar's own. */}}
{{- define "secretless.refuseLiteral" -}}
{{- $value := index . 1 -}}
{{- $clear := false -}}
{{- if kindIs "map" $value -}}
{{- $clear = eq "literal" (get (index . 2) (toString $value.from) | default $value.from | toString) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $text := toString $value -}}
{{- $clear = not (or (eq $text "") (regexMatch `^\$\{[A-Za-z_][A-Za-z0-9_]*\}$` $text) (and (index . 3) (hasPrefix "/" $text))) -}}
{{- end -}}
{{- if $clear -}}
{{- fail (printf "secretless: %s is in clear, and a ConfigMap would show it: write { from: env, get: NAME } or { from: file, get: /var/run/secrets/secretless/NAME }" (first .)) -}}
{{- end -}}
{{- end -}}
