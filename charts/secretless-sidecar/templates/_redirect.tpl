{{/*
Rules of the pod's network, set before anything else of it starts: leads connections to ports 80 and 443 to the sidecar
(`transparent`), and lets the agent reach nothing else (`confine`). The one container with NET_ADMIN, which the restricted
and baseline profiles refuse; it ends at once.
*/}}
{{- define "secretless.redirect" -}}
{{- $values := (include "secretless.scope" . | fromJson).values -}}
{{- $config := include "secretless.config" . | fromJson -}}
{{- if and $values.transparent.enabled $values.config (ne "transparent" (dig "egress" "mode" "" $config)) -}}
{{- fail "secretless: transparent.enabled needs config.egress.mode: transparent" -}}
{{- end -}}
{{- if not $values.user -}}
{{- fail "secretless: transparent and confine need a user: what the sidecar itself dials is told by it" -}}
{{- end -}}
name: secretless-redirect
image: {{ $values.transparent.image | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
command:
  - nft
  - |
    {{- if $values.transparent.enabled }}
    {{- include "secretless.redirectRules" (dict "port" (include "secretless.redirectPort" .) "user" $values.user) | nindent 4 }}
    {{- end }}
    {{- if $values.confine.enabled }}
    {{- include "secretless.confineRules" (dict "dns" $values.confine.dns "user" $values.user) | nindent 4 }}
    {{- end }}
resources:
  requests: { cpu: 10m, memory: 16Mi }
  limits: { memory: 64Mi }
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop:
      - ALL
    add:
      - NET_ADMIN
  readOnlyRootFilesystem: true
  runAsNonRoot: false
  runAsUser: 0
  runAsGroup: 0
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "secretless.redirectPort" -}}
{{- $values := (include "secretless.scope" . | fromJson).values -}}
{{- $config := include "secretless.config" . | fromJson -}}
{{- $address := dig "egress" "listenOn" "" $config -}}
{{- if kindIs "slice" $address -}}
{{- $address = first $address -}}
{{- end -}}
{{- $port := $values.transparent.port | default (regexFind `[1-9][0-9]*$` (toString $address)) -}}
{{- if not $port -}}
{{- fail "secretless: say where redirected connections arrive: transparent.port" -}}
{{- end -}}
{{- int64 $port -}}
{{- end -}}

{{/* As `secretless transparent --print-rules --nft` prints them. */}}
{{- define "secretless.redirectRules" -}}
# nft -f -; to undo: nft delete table inet secretless
table inet secretless
delete table inet secretless
table inet secretless {
  chain to_sidecar {
    type nat hook output priority -100; policy accept;
    oifname "lo" return
    meta skuid {{ int64 .user }} return
    tcp dport { 80, 443 } redirect to :{{ .port }}
  }
  chain no_quic {
    type filter hook output priority 0; policy accept;
    oifname "lo" return
    meta skuid {{ int64 .user }} return
    udp dport 443 reject
  }
}
{{- end -}}

{{/*
What is not the sidecar's reaches this pod alone. Established: answers to whoever came in. Dnat: connections that were
redirected. ICMPv6: the kernel's own search for neighbours (RFC 4861).
*/}}
{{- define "secretless.confineRules" -}}
table inet secretless_confine
delete table inet secretless_confine
table inet secretless_confine {
  chain only_sidecar {
    type filter hook output priority 10; policy accept;
    oifname "lo" accept
    meta skuid {{ int64 .user }} accept
    ct state established,related accept
    ct status dnat accept
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept
    {{- if .dns }}
    meta l4proto { tcp, udp } th dport 53 accept
    {{- end }}
    reject with icmpx type admin-prohibited
  }
}
{{- end -}}
