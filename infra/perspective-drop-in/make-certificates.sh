#!/bin/sh
# Makes a private certificate authority and a certificate for the Perspective API's host.
#
#   make-certificates.sh [FOLDER]    FOLDER is "certificates" beside this script, unless it is given
#
# Writes ca.crt, which clients trust, and server.crt and server.key, which Caddy uses. Keeps an existing authority, so
# that running it again only renews the server's certificate, which lasts 397 days. The authority can sign for no other
# host: a client that trusts it trusts it for this name alone.
set -eu

host=commentanalyzer.googleapis.com
folder=${1:-$(dirname "$0")/certificates}
umask 077
mkdir -p "$folder"
cd "$folder"

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

if [ ! -e ca.key ]; then
    new_key ca.key
    openssl req -x509 -new -key ca.key -out ca.crt -days 3650 -subj "/CN=Toxic comments, in place of $host" \
        -addext keyUsage=critical,keyCertSign,cRLSign -addext "nameConstraints=critical,permitted;DNS:$host"
fi
new_key server.key
openssl req -new -key server.key -subj "/CN=$host" -addext "subjectAltName=DNS:$host" \
    -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
    -addext extendedKeyUsage=serverAuth -out server.csr
openssl x509 -req -in server.csr -copy_extensions copyall -CA ca.crt -CAkey ca.key -days 397 -out server.crt
rm server.csr
chmod 644 ca.crt server.crt
# Caddy's container mounts this file and reads it as another user; only the owner can open the folder.
[ $# -gt 0 ] || { chmod 700 . && chmod 644 server.key; }
