# Postfix for bench/relay: a private instance, tuned for relaying on loopback, with its own queue. Sourced, not run.
# The tuning is that of the project's peer baseline: no lookups, no TLS, no limits per client, many processes, reused connections.

postfix_start() {
  local etc=$SCRATCH/postfix/etc queue=$SCRATCH/postfix/queue data=$SCRATCH/postfix/data log=$SCRATCH/postfix/log
  mkdir -p "$etc" "$queue" "$data" "$log"; chmod 755 "$SCRATCH" "$SCRATCH/postfix"; chown postfix "$data"
  cat >"$etc/main.cf" <<CF
compatibility_level = 3.6
queue_directory = $queue
data_directory = $data
myhostname = relay.example
mydomain = example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
relayhost = [127.0.0.1]:$SINK_PORT
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_tls_security_level = none
smtp_tls_security_level = none
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions = 127.0.0.0/8
default_process_limit = 300
in_flow_delay = 0
message_size_limit = 60000000
qmgr_message_active_limit = 50000
initial_destination_concurrency = 50
default_destination_concurrency_limit = 50
smtp_connection_cache_destinations = [127.0.0.1]:$SINK_PORT
smtp_connection_reuse_count_limit = 0
max_use = 1000
maillog_file = $log/maillog
maillog_file_prefixes = $log
CF
  cat >"$etc/master.cf" <<CF
127.0.0.1:$POSTFIX_PORT inet n - n - - smtpd
127.0.0.1:$HOLD_PORT inet n - n - - smtpd -o smtpd_client_restrictions=static:hold
pickup   unix n - n 60 1 pickup
cleanup  unix n - n - 0 cleanup
qmgr     unix n - n 300 1 qmgr
tlsmgr   unix - - n 1000? 1 tlsmgr
rewrite  unix - - n - - trivial-rewrite
bounce   unix - - n - 0 bounce
defer    unix - - n - 0 bounce
trace    unix - - n - 0 bounce
verify   unix - - n - 1 verify
flush    unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp     unix - - n - - smtp
relay    unix - - n - - smtp
showq    unix n - n - - showq
error    unix - - n - - error
retry    unix - - n - - error
discard  unix - - n - - discard
scache   unix - - n - 1 scache
anvil    unix - - n - 1 anvil
postlog  unix-dgram n - n - 1 postlogd
CF
  (cg_exec postfix postfix -c "$etc" start) >/dev/null 2>&1 || die "postfix did not start: $(cat "$log/maillog")"
  wait_port $POSTFIX_PORT || die "postfix does not listen: $(cat "$log/maillog")"
}

postfix_stop() {
  [ -d "$SCRATCH/postfix/etc" ] || return 0
  postfix -c "$SCRATCH/postfix/etc" stop >/dev/null 2>&1 || true
  cg_del postfix
  rm -rf "$SCRATCH/postfix"
}

# Forgets what is queued, as far as a part leaves anything there.
postfix_clear() { postsuper -c "$SCRATCH/postfix/etc" -d ALL >/dev/null 2>&1 || true; }

postfix_port() { echo $POSTFIX_PORT; }

# Where mail is taken and kept, and nothing is delivered: the hold queue, with the queue manager idle.
postfix_accept_port() { echo $HOLD_PORT; }

# Syncs of the whole machine in `perf`'s words; Postfix is many processes that come and go.
postfix_perf_scope() { echo -a; }

postfix_version() { echo "postfix $(postconf -c "$SCRATCH/postfix/etc" -h mail_version)"; }
