#!/bin/sh
# Makes the certificates that the tests use; they are committed, so that no test needs openssl. Valid 2020 to 2119.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
touch "$work/index"
cat >"$work/conf" <<CONF
[ca]
default_ca = d
[d]
new_certs_dir = $work
database = $work/index
rand_serial = yes
default_md = sha256
unique_subject = no
policy = p
[p]
commonName = supplied
CONF
# name, extensions, end, further options of `openssl ca`
sign() {
  name=$1 extensions=$2 end=$3
  shift 3
  printf '%b\n' "$extensions" >"$work/ext"
  openssl req -new -key "$work/$name.key" -subj "/CN=$name" -out "$work/csr"
  openssl ca -batch -notext -config "$work/conf" -in "$work/csr" -out "$name.pem" -extfile "$work/ext" \
    -startdate 20200101000000Z -enddate "$end" "$@"
}
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$work/$1.key"; }
authority() {
  key "$1"
  sign "$1" 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash' 21190101000000Z \
    -selfsign -keyfile "$work/$1.key"
}
# name, authority, subjectAltName, end
leaf() {
  key "$1"
  sign "$1" "subjectAltName=$3" "$4" -cert "$2.pem" -keyfile "$work/$2.key"
  cp "$work/$1.key" .
  chmod 644 "$1.key"
}
authority ca
authority other-ca
leaf local ca 'DNS:localhost,IP:127.0.0.1' 21190101000000Z
leaf named ca 'DNS:api.internal.test' 21190101000000Z
leaf stranger other-ca 'DNS:localhost,IP:127.0.0.1' 21190101000000Z
leaf expired ca 'DNS:localhost,IP:127.0.0.1' 20200102000000Z
leaf client ca 'DNS:client' 21190101000000Z
