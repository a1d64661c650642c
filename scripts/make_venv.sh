#!/usr/bin/env bash
# Create one virtual environment, once:  make_venv.sh FOLDER platform|sqlfluff|spark
#
# pip's own settings (index, certificates, time-outs) are the user's: none are set here.
# The platform and its development tools go in by one pip call, so that exactly one build of
# torch is resolved: the CPU build where the index offers it.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
what=$2

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

python_of_platform() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    say "No Python 3.11, 3.12 or 3.13 found (python3 is $(python3 --version 2>&1 || true))."
    say "Install one, or name it: make PYTHON=/path/to/python3.11 ..."
    exit 1
}

if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(python_of_platform)
    say "1/3 Creating $folder with $("$python" --version)."
    "$python" -m venv --clear "$folder" || {
        say "python -m venv failed. On Debian and Ubuntu: apt-get install python3-venv"
        exit 1
    }
fi

say "2/3 Upgrading pip in $folder: releases before 25.1 cannot install dependency groups."
"$folder/bin/python" -m pip install --quiet --upgrade pip

if [ "$what" = platform ]; then
    say "3/3 Installing the platform and its tools into $folder: 2 to 6 minutes, once."
    "$folder/bin/python" -m pip install --editable . --group dev | { grep --line-buffered -v \
        -e '^Requirement already' -e '^Using cached' || true; }
    say "Compiling the loops of features and models, so that no first run waits for it: half a minute."
    "$folder/bin/python" -c '
import pandas as pd
from benchmarks.speed.panels import a_region, weeks_from
from forecast_platform.forecasting.features.assemble import build_features
from forecast_platform.forecasting.models.families import trial_rows
from forecast_platform.forecasting.training import TrainingConfig
build_features(a_region(4, 4, 60), list(weeks_from(60)[-2:]), 4)
rows, config = trial_rows(), TrainingConfig(device="cpu")
members = {name: one.fit(rows, rows["y"]) for name, one in config.members().items()}
forecasts = {name: one.predict(rows) for name, one in members.items()}
config.heads().fit(rows, rows["y"], pd.DataFrame(forecasts, index=rows.index))
' || say "That failed; the first run compiles them."
else
    say "3/3 Installing $what into $folder, apart because it shares no dependency: once."
    "$folder/bin/python" -m pip install --quiet --group "$what"
fi
touch "$folder/.installed"
say "$folder is ready; it is made again only when pyproject.toml changes."
