#!/bin/sh
# Prints a CycloneDX bill of what is installed here: Debian packages, and the Python distributions in the folder $1.
set -eu
{
  dpkg-query -W -f '{"type":"library","name":"${source:Package}/${Package}","version":"${Version}","purl":"pkg:deb/debian/${Package}@${Version}?arch=${Architecture}"}\n'
  if [ $# -gt 0 ]; then
    for metadata in "$1"/*.dist-info/METADATA; do
      awk -F ': ' '
        { sub(/\r$/, "") } # some are written on Windows
        /^$/ { exit }
        $1 == "Name" { name = tolower($2); gsub("_", "-", name) }
        $1 == "Version" { version = $2 }
        END { printf "{\"type\":\"library\",\"name\":\"%s\",\"version\":\"%s\",\"purl\":\"pkg:pypi/%s@%s\"}\n", name, version, name, version }
      ' "$metadata"
    done
  fi
} | sort | awk '
  BEGIN { print "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"version\":1,\"components\":[" }
  { printf "%s%s\n", (NR > 1 ? "," : ""), $0 }
  END { print "]}" }
'
