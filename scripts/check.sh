#!/usr/bin/env bash
# Run every linter and architecture check, change nothing, and name all that failed at the end.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
export DAGSTER_DISABLE_TELEMETRY=1 DO_NOT_TRACK=1 OMP_NUM_THREADS=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=()

# check NAME COMMAND...: print one line when it passes, its whole output when it fails.
check() {
    local name=$1 started=$SECONDS
    shift
    if "$@" >"$scratch/output" 2>&1; then
        printf '  ok      %-34s %3ds\n' "$name" $((SECONDS - started))
    else
        printf '  FAILED  %-34s %3ds\n' "$name" $((SECONDS - started))
        sed 's/^/          /' "$scratch/output"
        failed+=("$name")
    fi
}

dbt_parse() {
    (cd dbt_conditioning && "$bin/dbt" --quiet parse --profiles-dir . --target-path "$scratch/dbt" \
        --log-path "$scratch/dbt-logs")
}

validate_definitions() {
    DAGSTER_HOME=$scratch "$bin/dagster" definitions validate -m forecast_platform.definitions
}

echo "Checking the code; nothing is changed. make fix repairs what can be repaired."
check "format (ruff)" "$bin/ruff" format --check .
check "lint (ruff)" "$bin/ruff" check .
check "who imports whom (import-linter)" "$bin/lint-imports"
check "types (pyright)" "$bin/pyright"
check "spelling (codespell)" "$bin/codespell"
check "dependencies (deptry)" "$bin/deptry" .
check "SQL (sqlfluff)" .venv-sqlfluff/bin/sqlfluff lint --disable-progress-bar \
    dbt_conditioning/models dbt_conditioning/tests dbt_conditioning/macros
check "dbt project (dbt parse)" dbt_parse
check "definitions (dagster)" validate_definitions
check "architecture tests (pytest)" "$bin/python" -m pytest -q forecast_platform_tests/architecture

if [ ${#failed[@]} -gt 0 ]; then
    printf '%d failed: ' "${#failed[@]}"
    printf '%s; ' "${failed[@]}"
    echo
    exit 1
fi
echo "All checks passed."
