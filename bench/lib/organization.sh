# A document in which everything that an organization has is switched on: what the relay of one message costs then, and logons. Sourced, not run.

# Adds to a node's document: 10,000 recipients, groups, contacts, sites, remote domains, rules that every message is held against, a user.
# No rule fits the messages of the benchmarks, so they go where they go without.
organization_add() { # DIR
  seq -f 'person%.0f' 10000 >"$1/people.txt"
  awk 'BEGIN {
    printf "\n[[accepted_domain]]\nname = \"our.example\"\ntype = \"authoritative\"\ndeliver = \"relay\"\nrecipients_file = \"people.txt\"\nunknown_recipients = \"refuse\"\n"
    for (n = 1; n <= 500; n++) printf "\n[[accepted_domain]]\nname = \"d%d.example\"\ndeliver = \"relay\"\n", n
    for (n = 1; n <= 20; n++) printf "\n[[site]]\nname = \"site%d\"\n", n
    for (n = 2; n <= 20; n++) printf "\n[[site_link]]\nname = \"link%d\"\nsites = [\"site%d\", \"site%d\"]\ncost = %d\n", n, n - 1, n, n
    for (n = 1; n <= 200; n++) printf "\n[[group]]\naddress = \"group%d@our.example\"\nmembers = [\"person%d@our.example\", \"person%d@our.example\"]\n", n, n, n + 1
    for (n = 1; n <= 200; n++) printf "\n[[contact]]\naddress = \"contact%d@our.example\"\ntarget = \"somebody%d@far.example\"\n", n, n
    for (n = 1; n <= 50; n++) printf "\n[[send_connector]]\nname = \"partner%d\"\ndomains = [\"partner%d.example\"]\nsmart_hosts = [\"127.0.0.1:9\"]\ntls = \"off\"\n", n, n
    for (n = 1; n <= 10; n++) printf "\n[[rule]]\nname = \"sender%d\"\nfrom = [\"*@bad%d.example\"]\nrefuse = \"not from there\"\n", n, n
    for (n = 1; n <= 5; n++) printf "\n[[rule]]\nname = \"subject%d\"\nheader = \"Subject\"\nheader_contains = [\"word%d that nobody writes\"]\ntag_header = \"X-Word: %d\"\nthen = \"go_on\"\n", n, n, n
    printf "\n[[rule]]\nname = \"large\"\nsize_over = \"50MB\"\nrefuse = \"too large\"\n"
    printf "\n[[remote_domain]]\ndomains = [\"*\"]\nauto_forward = false\n"
    printf "\n[message_limits]\nmessage_size_max = \"60MB\"\n"
  }' >>"$1/org.toml"
  sed -i 's/^permissions = .*/permissions = ["anonymous", "relay", "users"]\nauth = ["plain"]\nauth_without_tls = true/' "$1/org.toml"
  printf '\n[[user]]\nname = "bench"\npassword = "%s"\nmay_send_as = ["*"]\n' "$(printf pencil | "$BIN/posthouse" hash-password)" >>"$1/org.toml"
}
BENCH_CREDENTIALS=$(printf '\0bench\0pencil' | base64)

# The first node with all of that, the second without, run by run in turn.
part_organization() {
  posthouse_stop; WHOLE=1 posthouse_start; beside_start; warm_up posthouse; warm_up beside
  for _ in $(seq "$RUNS"); do
    relay_once beside "$(count posthouse)" 10240 64
    record organization plain "$PER_SECOND"; record organization-cpu plain "$CPU_PER_1000"
    relay_once posthouse "$(count posthouse)" 10240 64
    record organization posthouse "$PER_SECOND"; record organization-cpu posthouse "$CPU_PER_1000"
  done
  beside_stop; posthouse_stop
}

# A connection and a logon for each message; without the logon beside it.
part_authenticated() {
  posthouse_stop; WHOLE=1 posthouse_start; warm_up posthouse
  for _ in $(seq "$RUNS"); do
    relay_once posthouse "$(count posthouse 4)" 10240 64 --per-connection 1
    record authenticated plain "$PER_SECOND"
    relay_once posthouse "$(count posthouse 4)" 10240 64 --per-connection 1 --auth-plain "$BENCH_CREDENTIALS"
    record authenticated posthouse "$PER_SECOND"
  done
  posthouse_stop
}
