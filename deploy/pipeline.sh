#!/usr/bin/env bash
# What action.yml runs, for every other pipeline too. Takes CONFIG, and TESTS, RECORDING, BASE and FAIL_ON_CHANGE where given; writes
# check, test, replay and diff to the folder REPORTS, and all of it as one comment.md. Every step runs; the worst exit code is passed on.
set -uo pipefail
# of a project that has the package installed
PATH="$PATH:$PWD/node_modules/.bin"

: "${CONFIG:=lab.yaml}" "${TESTS:=}" "${RECORDING:=}" "${BASE:=}" "${FAIL_ON_CHANGE:=false}" "${REPORTS:=egresslab-reports}"
mkdir -p "$REPORTS" || exit 2
strict=()
[ "$FAIL_ON_CHANGE" = true ] && strict=(--fail-on-change)
worst=0
pages=()

step() { # NAME COMMAND…
  local name=$1 code=0
  shift
  echo "::group::egresslab $name"
  egresslab "$@" --format github --report "$REPORTS/$name.md" --report "$REPORTS/$name.html" \
    --report "$REPORTS/$name.sarif" --report "$REPORTS/$name.xml" || code=$?
  echo "::endgroup::"
  [ -f "$REPORTS/$name.md" ] && pages+=("$REPORTS/$name.md")
  ((code > worst)) && worst=$code
  return 0
}

step check check -c "$CONFIG"
[ -n "$TESTS" ] && step test test "$TESTS"
[ -n "$RECORDING" ] && step replay replay "$RECORDING" -c "$CONFIG" "${strict[@]}"
if [ -n "$BASE" ]; then
  before=$(mktemp -d)
  trap 'git worktree remove --force "$before/tree" >/dev/null 2>&1; rm -rf "$before"' EXIT
  if git worktree add --quiet --detach "$before/tree" "$BASE" && [ -e "$before/tree/$CONFIG" ]; then
    sessions=()
    [ -n "$RECORDING" ] && sessions=(--replay "$RECORDING")
    step diff rules diff "$CONFIG" --against "$before/tree/$CONFIG" -c "$CONFIG" --prune "${sessions[@]}" "${strict[@]}"
  else
    echo "::warning title=egresslab diff::$BASE has no $CONFIG to compare with; fetch it first (actions/checkout with fetch-depth: 0)"
  fi
fi

# a comment takes 65,536 characters, a summary more
cat "${pages[@]}" | head -c 60000 >"$REPORTS/comment.md"
[ -n "${GITHUB_STEP_SUMMARY:-}" ] && cat "${pages[@]}" >>"$GITHUB_STEP_SUMMARY"
[ -n "${GITHUB_OUTPUT:-}" ] && printf 'comment=%s\nreports=%s\n' "$REPORTS/comment.md" "$REPORTS" >>"$GITHUB_OUTPUT"
exit "$worst"
