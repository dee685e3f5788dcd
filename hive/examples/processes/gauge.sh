#!/bin/sh
# An agent in plain shell: keeps `low` in step with `stock`. Speaks the protocol of docs/PROTOCOL.md.
echo '{"type":"hello","protocol":1,"keys":["stock","low"]}'
while read -r line; do
  case $line in
    '{"type":"run"'*)
      stock=${line#*'"stock":'}
      stock=${stock%%[,\}]*}
      low=${line#*'"low":'}
      low=${low%%[,\}]*}
      if [ "$stock" -lt 3 ]; then now=true; else now=false; fi
      if [ "$now" = "$low" ]; then
        echo '{"type":"pass"}'
      else
        echo "{\"type\":\"propose\",\"set\":{\"low\":$now}}"
      fi ;;
    '{"type":"stop"'*)
      echo '{"type":"bye"}'
      exit ;;
  esac
done
