#!/bin/sh
# Asks the site for ever. Each answer is the version that gave it: V1V1V2V1V2V2...
#   ./test.sh [URL]
while :; do
  curl --silent --fail --max-time 5 "${1:-http://localhost/}" || printf '[failed]'
done
