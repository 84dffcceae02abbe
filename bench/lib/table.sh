# The table of bench/relay and bench/copies: medians, ratios, and what they are to reach. Sourced, not run.

# figure | what it is | how it is judged | at least | aim
#   more  Posthouse / Postfix, to be high     less  Postfix / Posthouse, to be high
#   share Posthouse / the second column       most  Posthouse's own value, to be low
#   part  the same share, to be low           told  the same share, not judged
FIGURE_TABLE='relay10k|end-to-end relay, 10 KiB, messages/s|more|8|12
relay1k|end-to-end relay, 1 KiB, messages/s|more|11|18
cpu|CPU seconds per 1,000 relayed messages (fewer times)|less|16|28
accept-only|accept only, messages/s|more|12|20
one-per-connection|one message per connection, messages/s|more|6|9
journal|journal alone, durable 4 KiB appends/s (second: raw batch write)|share|0.6|0.9
device-bytes|bytes written to the device per byte of message|most|1.3|1.1
syncs|syncs per message|most|0.1|0.03
memory200|peak memory with 200 sessions, MiB|most|80|40
memory200x50M|peak memory with 200 sessions of 50 MiB each, MiB|most|300|150
queued-memory|memory per queued message, bytes|most|600|300
restart|restart to first 220 with the queue full, s|most|10|2
dead-hop|messages/s while the queue waits for a dead hop (second: empty queue)|share|0.9|1.0
organization|the same relay with the organization switched on (second: without), messages/s|share|0.9|1.0
organization-cpu|its CPU seconds per 1,000 messages (second: without)|told|-|-
authenticated|64 clients that log on for each message (second: one message per connection without), messages/s|told|-|-
copied10k|relay with copies = 1, 10 KiB, messages/s (second: Postfix without a copy)|more|5|10
copied-share|the same (second: a node without copies)|told|-|-
copied-waits|the same (second: the copying node, copies = 0, so nobody waits)|told|-|-
copied-ms|median of the 250 with copies = 1 at a paced rate, ms (second: a node without copies)|part|2.0|1.3
taken-s|take-over of a full spool until all of it is scheduled, s|most|10|3
copied-holder|CPU seconds of the copy-holder per 1,000 messages (second: of their owner)|part|0.35|0.2
copied-cpu|CPU seconds of the owner per 1,000 messages (second: a node without copies)|told|-|-'

table() {
  local figure what rule least aim ours theirs value second
  echo '| figure | Posthouse | Postfix | ratio | at least | aim | verdict |'
  echo '|---|---|---|---|---|---|---|'
  while IFS='|' read -r figure what rule least aim; do
    value=median_of second=postfix
    [ "$figure" != device-bytes ] || value=least_of
    ours=$($value "$figure" posthouse)
    case $figure in
      journal) second=raw ;;
      dead-hop) second=empty ;;
      organization | organization-cpu | authenticated) second=plain ;;
      copied-share | copied-ms | copied-cpu) second=alone ;;
      copied-waits) second=unwaited ;;
      copied-holder) second=owner ;;
    esac
    theirs=$($value "$figure" $second)
    [ -n "$ours$theirs" ] || continue
    awk -v what="$what" -v ours="$ours" -v theirs="$theirs" -v rule="$rule" -v least="$least" -v aim="$aim" 'BEGIN {
      have = ours != "" && theirs != "" && ours > 0 && theirs > 0
      ratio = !have ? "-" : rule == "less" ? theirs / ours : ours / theirs
      judged = rule == "most" ? ours : ratio
      if (judged == "" || judged == "-" || rule == "told") verdict = "-"
      else if (rule == "most" || rule == "part") verdict = judged + 0 <= aim + 0 ? "aim" : judged + 0 <= least + 0 ? "enough" : "SHORT"
      else verdict = judged + 0 >= aim + 0 ? "aim" : judged + 0 >= least + 0 ? "enough" : "SHORT"
      unit = rule == "more" || rule == "less" ? " x" : ""
      bound = rule == "most" || rule == "part" ? "<= " : ""
      printf "| %s | %s | %s | %s | %s%s%s | %s%s%s | %s |\n", what, short(ours), short(theirs), short(ratio), bound, least, unit, bound, aim, unit, verdict
    }
    function short(v) { return v == "" || v == "-" ? "-" : v >= 1000 ? sprintf("%.0f", v) : sprintf("%.3g", v) }'
  done <<<"$FIGURE_TABLE"
}
