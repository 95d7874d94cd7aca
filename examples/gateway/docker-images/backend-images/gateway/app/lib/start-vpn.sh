#!/usr/bin/env bash
# Starts the VPN that user containers join and writes what a client needs to /tmp/vpn-config.json.
# Keys are elliptic curves: made in milliseconds, no Diffie-Hellman parameters to wait for.
set -euo pipefail
umask 077

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../config.conf"
port=${GATEWAY_VPN_PORT:?GATEWAY_VPN_PORT is not set}
host=${GANYMEDE_FQDN:?GANYMEDE_FQDN is not set}
organization=${ORGANIZATION_ID:-}
if ! [[ $port =~ ^[0-9]+$ && $host =~ ^[A-Za-z0-9.-]+$ && $organization =~ ^[A-Za-z0-9-]*$ ]]; then
  echo "GATEWAY_VPN_PORT, GANYMEDE_FQDN or ORGANIZATION_ID is malformed" >&2
  exit 1
fi

bash "$here/stop-vpn.sh"
work=$(mktemp -d /tmp/vpn-XXXXXX)

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$work/$1.key" 2>/dev/null; }
# certificate NAME USAGE: a key and a certificate that the CA has signed.
certificate() {
  key "$1"
  openssl req -new -key "$work/$1.key" -subj "/CN=$1" |
    openssl x509 -req -days 3650 -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -out "$work/$1.crt" \
      -extfile <(printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=%s\n' "$2") 2>/dev/null
}
key ca
openssl req -new -x509 -days 3650 -key "$work/ca.key" -subj "/CN=gateway" -out "$work/ca.crt"
certificate server serverAuth
certificate clients clientAuth
openvpn --genkey secret "$work/ta.key"

cat >"$work/server.conf" <<OPENVPN
port $port
proto udp
dev tun
topology subnet
server $VPN_NETWORK $VPN_NETMASK
ca $work/ca.crt
cert $work/server.crt
key $work/server.key
dh none
tls-groups X25519:prime256v1
tls-auth $work/ta.key 0
remote-cert-tls client
# Clients share one certificate.
duplicate-cn
keepalive 10 60
persist-tun
management 127.0.0.1 $VPN_MANAGEMENT_PORT
OPENVPN
# Clients reach the gateway and nothing behind it: not each other, not the bridge, forwarding or not.
nft -f - <<'NFT'
table inet gateway_vpn {}
delete table inet gateway_vpn
table inet gateway_vpn {
    chain forward {
        type filter hook forward priority filter;
        iifname "tun*" drop
    }
}
NFT

openvpn --config "$work/server.conf" --log "$work/openvpn.log" --writepid "$work/pid" --daemon

ready='Initialization Sequence Completed'
if ! timeout 10 sh -c "until grep -q '$ready' '$work/openvpn.log'; do sleep 0.05; done"; then
  cat "$work/openvpn.log" >&2
  echo "openvpn was not ready within 10 s" >&2
  exit 1
fi

# A file of lines as a text of JSON.
text() { awk '{ printf "%s%s", end, $0; end = "\\n" }' "$work/$1"; }
cat >"$work/vpn-config.json" <<JSON
{
  "organization_id": "$organization",
  "status": "ok",
  "pid": $(cat "$work/pid"),
  "temp_dir": "$work",
  "port": $port,
  "hostname": "$host",
  "certificates": {
    "clients.crt": "$(text clients.crt)",
    "clients.key": "$(text clients.key)",
    "ca.crt": "$(text ca.crt)",
    "ta.key": "$(text ta.key)"
  }
}
JSON
mv "$work/vpn-config.json" /tmp/vpn-config.json
