# What end-to-end tests share: the command under test, a folder of their own, and cases in TAP. Source it first.
#
#   succeeds NAME COMMAND…              exit status 0; standard output in $out, standard error in $err
#   fails STATUS PATTERN NAME COMMAND…  that exit status, one message on standard error that matches the extended regular
#                                       expression, nothing on standard output
#   prints PATTERN NAME                 the last standard output has a line that matches
#   holds NAME COMMAND…                 any check; exit status 0
#   skip NAME REASON                    a case that cannot run here
#   finish                              the plan; exit status
set -uo pipefail
motley=${MOTLEY_BIN:?MOTLEY_BIN is the program under test}
root=${MOTLEY_SOURCE_ROOT:?}
data=${MOTLEY_SHARED_DATA:-$root/../shared/data}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MOTLEY_CACHE_DIR=$work/cache
unset ORT_DISABLE_TELEMETRY
cd "$work" || exit 1
out=$work/.out err=$work/.err
cases=0 failures=0

motley() { "$motley" "$@"; }

verdict() { # STATUS NAME
  cases=$((cases + 1))
  if [ "$1" = 0 ]; then
    echo "ok $cases - $2"
  else
    failures=$((failures + 1))
    echo "not ok $cases - $2"
    sed 's/^/# out: /' "$out" | head -n 20
    sed 's/^/# err: /' "$err" | head -n 20
  fi
}

succeeds() {
  local name=$1
  shift
  "$@" >"$out" 2>"$err" </dev/null
  local status=$?
  [ $status = 0 ] || echo "# exit status $status: $*"
  verdict $status "$name"
}

fails() {
  local wanted=$1 pattern=$2 name=$3 good=0
  shift 3
  "$@" >"$out" 2>"$err" </dev/null
  local status=$?
  [ $status = "$wanted" ] || { echo "# exit status $status instead of $wanted: $*"; good=1; }
  grep -q -E "$pattern" "$err" || { echo "# no message like: $pattern"; good=1; }
  [ "$(grep -c '^motley: ' "$err")" = 1 ] || { echo "# not one message"; good=1; }
  [ ! -s "$out" ] || { echo "# something on standard output"; good=1; }
  verdict $good "$name"
}

prints() {
  grep -q -E "$1" "$out"
  verdict $? "$2"
}

holds() {
  local name=$1
  shift
  "$@" >>"$out" 2>>"$err"
  verdict $? "$name"
}

skip() {
  cases=$((cases + 1))
  echo "# $2"
  echo "ok $cases - $1 # SKIP $2"
}

finish() {
  echo "1..$cases"
  [ "$failures" = 0 ]
  exit
}
